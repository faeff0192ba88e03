#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rspy_tests::fuzz::recordings::run(data));
