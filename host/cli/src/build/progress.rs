//! Lines that say what a build is doing, with the time since it began.

use std::fmt::Display;
use std::time::Instant;

use crate::print;

/// The clock of one build.
#[derive(Clone, Copy, Debug)]
pub struct Progress(Instant);

impl Progress {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Prints a line.
    pub fn say(self, text: impl Display) {
        print::note(format_args!(
            "[{:>5.1}s] {text}",
            self.0.elapsed().as_secs_f32()
        ));
    }
}
