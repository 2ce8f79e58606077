//! A CSV file as rows of fields: its delimiter found, its lines counted.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ::csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

use crate::{DataError, Progress, Stage, read};

/// How much is looked at to find the delimiter: some rows of the largest images.
const SAMPLE: u64 = 4 << 20;

/// How many rows of that.
const MOST_SAMPLED: usize = 20;

/// The most bytes of a file, unpacked.
const MOST_BYTES: u64 = 16 << 30;

/// The longest row: a quote that is never closed makes one of all that follows.
const MOST_ROW: u64 = 64 << 20;

/// A CSV file before it is read.
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) delimiter: Delimiter,
    /// Its first rows, the header among them if there is one.
    pub(crate) sample: Vec<Vec<String>>,
}

/// What parts fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delimiter {
    Byte(u8),
    /// Any number of blanks.
    Blanks,
}

impl Delimiter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Delimiter::Byte(b',') => "commas",
            Delimiter::Byte(b';') => "semicolons",
            Delimiter::Byte(_) => "tabs",
            Delimiter::Blanks => "blanks",
        }
    }
}

impl Table {
    /// Looks at the beginning of a file, gzip-compressed or not.
    pub(crate) fn open(path: &Path) -> Result<Table, DataError> {
        let bad = |what: &str, hint: &str| DataError::contents(path, what, Some(hint));
        let mut start = Vec::new();
        unpacked(read::open(path)?, path)?
            .take(SAMPLE)
            .read_to_end(&mut start)
            .map_err(|reason| DataError::io(path, reason))?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(bad("is UTF-16, expected UTF-8", "save it as CSV UTF-8"));
        }
        if start.contains(&0) {
            let first: Vec<String> = start.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let what = format!("is of no kind that is known (it begins with bytes {})", first.join(" "));
            return Err(bad(&what, "name a folder of pictures, a CSV or npz file, or a folder of IDX or CIFAR files"));
        }
        if (start.len() as u64) == SAMPLE {
            // The last line may be cut off.
            let end = start
                .iter()
                .rposition(|&byte| byte == b'\n')
                .ok_or_else(|| bad("has a first line of more than 4 MiB", "write one image, or one path, in a line"))?;
            start.truncate(end + 1);
        }
        let candidates = [Delimiter::Byte(b','), Delimiter::Byte(b';'), Delimiter::Byte(b'\t'), Delimiter::Blanks];
        let mut best: Option<(bool, usize, Table)> = None;
        for delimiter in candidates {
            let mut rows = Rows::new(Box::new(Cursor::new(start.clone())), delimiter, path);
            let mut sample = Vec::new();
            while sample.len() < MOST_SAMPLED
                && let Some(row) = rows.next_row()?
            {
                sample.push(row.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect::<Vec<_>>());
            }
            let Some(width) = sample.first().map(Vec::len) else {
                return Err(bad("is empty", "copy or download it again"));
            };
            let even = width > 1 && sample.iter().all(|row| row.len() == width);
            let better =
                best.as_ref().is_none_or(|(other_even, other_width, _)| (even, width) > (*other_even, *other_width));
            if better {
                best = Some((even, width, Table { path: path.to_owned(), delimiter, sample }));
            }
        }
        let (_, _, table) = best.expect("there are candidates");
        Ok(table)
    }

    /// All rows from the first on.
    pub(crate) fn rows(&self) -> Result<Rows, DataError> {
        let file = read::open(&self.path)?;
        let len = file.metadata().map_err(|reason| DataError::io(&self.path, reason))?.len();
        let at = Rc::new(Cell::new(0));
        let counted = Counted { file, at: Rc::clone(&at) };
        let rows = Rows::new(unpacked(counted, &self.path)?, self.delimiter, &self.path);
        Ok(Rows { at, len, ..rows })
    }
}

/// A file that counts how much of it was read.
struct Counted {
    file: File,
    at: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.at.set(self.at.get() + n as u64);
        Ok(n)
    }
}

fn unpacked(file: impl Read + 'static, path: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    let gzipped = file.fill_buf().map_err(|reason| DataError::io(path, reason))?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(reader.take(MOST_BYTES)))
}

/// Rows, one after the other.
pub(crate) struct Rows {
    path: PathBuf,
    source: Source,
    row: ByteRecord,
    /// The line that the last row began at, from 1 on.
    line: u64,
    ended: bool,
    /// How much has been read for the row at hand.
    read: Rc<Cell<u64>>,
    /// How much of the file has been read, packed as it may be, and how much there is.
    at: Rc<Cell<u64>>,
    len: u64,
}

/// A reader that gives no more than [`MOST_ROW`] for a row.
struct Bounded {
    reader: Box<dyn Read>,
    read: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > MOST_ROW {
            let what = format!("a row of more than {MOST_ROW} bytes; is there a quote that is never closed?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let n = self.reader.read(buffer)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}

enum Source {
    Delimited(Box<::csv::Reader<Bounded>>),
    Blanks(BufReader<Bounded>),
}

impl Rows {
    fn new(reader: Box<dyn Read>, delimiter: Delimiter, path: &Path) -> Rows {
        let read = Rc::new(Cell::new(0));
        let reader = Bounded { reader, read: Rc::clone(&read) };
        let source = match delimiter {
            Delimiter::Byte(byte) => Source::Delimited(Box::new(
                ::csv::ReaderBuilder::new().delimiter(byte).has_headers(false).flexible(true).from_reader(reader),
            )),
            Delimiter::Blanks => Source::Blanks(BufReader::new(reader)),
        };
        let (path, at) = (path.to_owned(), Rc::default());
        Rows { path, source, row: ByteRecord::new(), line: 0, ended: false, read, at, len: 0 }
    }

    /// The row that was read last, if there was one.
    fn current(&self) -> Option<&ByteRecord> {
        (!self.ended).then_some(&self.row)
    }

    /// How much of the file has been read.
    pub(crate) fn progress(&self) -> Progress {
        Progress { stage: Stage::File, done: self.at.get().min(self.len) as usize, of: self.len as usize }
    }

    /// The next row, which must have so many fields, and the line that it begins at.
    pub(crate) fn next_of(&mut self, width: usize) -> Result<Option<(u64, &ByteRecord)>, DataError> {
        self.next_row()?;
        let line = self.line;
        match self.current().map(ByteRecord::len) {
            Some(found) if found != width => {
                let what = format!("line {line}: holds {found} fields, expected {width}");
                Err(DataError::contents(&self.path, what, Some("copy or write the file again")))
            }
            _ => Ok(self.current().map(|row| (line, row))),
        }
    }

    /// The next row; lines without anything are none.
    pub(crate) fn next_row(&mut self) -> Result<Option<&ByteRecord>, DataError> {
        let bad = |line: u64, reason: &dyn std::fmt::Display| {
            let what = format!("cannot be read after line {line}: {reason}");
            DataError::contents(&self.path, what, Some("copy or download it again"))
        };
        self.read.set(0);
        match &mut self.source {
            Source::Delimited(reader) => {
                if !reader.read_byte_record(&mut self.row).map_err(|reason| bad(self.line, &reason))? {
                    self.ended = true;
                    return Ok(None);
                }
                self.line = self.row.position().map_or(0, ::csv::Position::line);
                self.row.trim();
            }
            Source::Blanks(reader) => loop {
                let mut line = Vec::new();
                let read = reader.read_until(b'\n', &mut line).map_err(|reason| bad(self.line, &reason))?;
                if read == 0 {
                    self.ended = true;
                    return Ok(None);
                }
                self.line += 1;
                let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
                self.row = fields.collect();
                if !self.row.is_empty() {
                    break;
                }
            },
        }
        if self.line <= 1 && self.row.get(0).is_some_and(|field| field.starts_with(BYTE_ORDER_MARK)) {
            let fields: Vec<Vec<u8>> = self.row.iter().map(<[u8]>::to_vec).collect();
            self.row = fields
                .iter()
                .enumerate()
                .map(|(n, field)| if n == 0 { &field[BYTE_ORDER_MARK.len()..] } else { &field[..] })
                .collect();
        }
        Ok(Some(&self.row))
    }
}

/// What some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
