#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rspy_fuzz::values::run(data));
