//! How far long work has come, for those who wait.

use std::io::{self, Read};

/// How far reading or comparing has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How much of it is done, at most `of`: pictures, bytes of a file, or images.
    pub done: usize,
    /// How much there is to do.
    pub of: usize,
}

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The sizes and modes of picture files are looked up.
    Sizes,
    /// Picture files are decoded.
    Pictures,
    /// A file of arrays or of rows is read.
    File,
    /// Images are compared with each other.
    Likeness,
}

impl Stage {
    /// What is being done, in words.
    pub fn words(self) -> &'static str {
        match self {
            Stage::Sizes => "sizes of pictures",
            Stage::Pictures => "reading pictures",
            Stage::File => "reading the file",
            Stage::Likeness => "comparing images",
        }
    }
}

/// Who is told how far it is.
pub(crate) type Watch<'a> = dyn FnMut(Progress) + 'a;

/// A reader of `of` bytes that tells how far it is.
pub(crate) struct Watched<'a, 'w, R> {
    pub(crate) reader: R,
    pub(crate) done: usize,
    pub(crate) of: usize,
    pub(crate) watch: &'a mut Watch<'w>,
}

impl<R: Read> Read for Watched<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.done = self.done.saturating_add(n);
        (self.watch)(Progress { stage: Stage::File, done: self.done.min(self.of), of: self.of });
        Ok(n)
    }
}
