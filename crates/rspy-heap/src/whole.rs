//! The memory of a process: the copy, and where that has nothing what it was copied from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rspy_process::{Address, Memory, ReadError};

use crate::image::Image;

/// The copy, and all else: names of types lie in memory that cannot be written to, which is not copied.
pub(crate) struct Whole<'i> {
    image: &'i Image,
    rest: Mutex<Box<dyn Rest>>,
    /// Whether that had gone when it was asked.
    is_gone: AtomicBool,
}

/// Any memory, whatever its type.
trait Rest: Send {
    fn read_rest(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError>;
}

impl<M: Memory + Send> Rest for M {
    fn read_rest(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        self.read(at, into)
    }
}

impl<'i> Whole<'i> {
    /// `image`, and the `rest` where it has nothing.
    pub fn new(image: &'i Image, rest: impl Memory + Send + 'static) -> Whole<'i> {
        Whole { image, rest: Mutex::new(Box::new(rest)), is_gone: AtomicBool::new(false) }
    }

    /// Whether something was to be read that is not in the copy, and what it was copied from had gone.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

impl Memory for Whole<'_> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        let rest = || self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.image.read(at, into).or_else(|_| rest().read_rest(at, into));
        if matches!(read, Err(ReadError::Gone)) {
            self.is_gone.store(true, Ordering::Relaxed);
        }
        read
    }
}
