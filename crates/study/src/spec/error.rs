//! Why a study file was refused, and where in it.

use std::io;
use std::ops::Range;

use thiserror::Error;

use super::MAX_BYTES;

/// Why a study file was refused.
#[derive(Debug, Error)]
pub enum StudyFileError {
    /// There is no such file.
    #[error("{path}: there is no such file")]
    NotFound {
        /// Its path.
        path: String,
    },
    /// The file cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Io {
        /// Its path.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
    /// The file is too large to be a study.
    #[error("{path}: is larger than {MAX_BYTES} bytes, which no study file is")]
    TooLarge {
        /// Its path.
        path: String,
    },
    /// The file is not UTF-8.
    #[error("{path}: byte {position} is not UTF-8 text, which a study file is")]
    NotText {
        /// Its path.
        path: String,
        /// Offset in bytes.
        position: usize,
    },
    /// The file is UTF-16.
    #[error("{path}: is UTF-16 text, expected UTF-8")]
    Utf16 {
        /// Its path.
        path: String,
    },
    /// The text is not a study.
    #[error("{path}{}: {message}{}", .place.as_ref().map_or(String::new(), |p| format!(":{}:{}", p.line, p.column)),
        .place.as_ref().map_or(String::new(), |p| format!("\n\n{}", p.excerpt)))]
    Invalid {
        /// Its path.
        path: String,
        /// Where in the file, if that is known.
        place: Option<Box<Place>>,
        /// What is wrong.
        message: String,
        /// What to do about it, if there is something to say.
        hint: Option<String>,
    },
}

/// A place in a study file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line with the place marked below it.
    pub excerpt: String,
}

impl StudyFileError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            StudyFileError::Invalid { hint, .. } => hint.as_deref(),
            StudyFileError::Utf16 { .. } => Some("save it as UTF-8, which editors offer when saving"),
            _ => None,
        }
    }
}

impl Place {
    /// Of a range of bytes.
    pub(super) fn new(text: &str, span: Range<usize>) -> Place {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[..start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count();
        let end = floor(text, span.end).clamp(start, line_end.max(start));
        let marks = text[start..end].chars().count().max(1);
        // A very long line says nothing, and control characters would reach the terminal.
        let shown: String =
            text[line_start..line_end].chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let excerpt = if column < 200 {
            let (number, marks) = (line.to_string(), "^".repeat(marks.min(200 - column)));
            let gutter = " ".repeat(number.len());
            let shown = shown.trim_end();
            format!("{gutter} |\n{number} | {shown}\n{gutter} | {}{marks}", " ".repeat(column))
        } else {
            String::new()
        };
        Place { line, column: column + 1, excerpt }
    }
}

/// The last character boundary at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}
