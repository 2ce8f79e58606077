//! JSON as people read it: a line for each value, and one for each row of a matrix and each list of numbers.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

/// The text of `value`, indented, with arrays within arrays and arrays of numbers on one line each: the confusion matrix
/// of 1,000 classes has as many lines, not a million, and a trial's record half the bytes.
///
/// # Panics
/// If `value` has what JSON has not, such as keys that are no text.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, Rows::default())).expect("plain values");
    text.push(b'\n');
    numbers_on_one_line(&String::from_utf8(text).expect("JSON is text"))
}

/// The same with each array of nothing but numbers, which had a line each, on one.
fn numbers_on_one_line(text: &str) -> String {
    let is_number = |line: &str| line.starts_with(|c: char| c.is_ascii_digit() || c == '-') || line.starts_with("null");
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        // In a text there is no such end of a line: what ends it there is a quotation mark.
        if !line.ends_with("[\n") {
            out.push_str(line);
            continue;
        }
        let before = out.len();
        out.push_str(line.trim_end());
        let mut lookahead = lines.clone();
        while let Some(number) = lookahead.next_if(|line| is_number(line.trim_start())) {
            out.push_str(number.trim());
        }
        match lookahead.next() {
            Some(end) if out.len() > before + line.trim_end().len() && end.trim_start().starts_with(']') => {
                out.push_str(end.trim_start());
                lines = lookahead;
            }
            _ => {
                out.truncate(before);
                out.push_str(line);
            }
        }
    }
    out
}

#[derive(Default)]
struct Rows {
    lines: PrettyFormatter<'static>,
    /// What was begun and has not ended, outermost first: whether it is an array.
    within: Vec<bool>,
    /// How many of these were begun before the one that is on one line.
    whole: Option<usize>,
}

impl Rows {
    fn end(&mut self) -> bool {
        self.within.pop();
        let one_line = self.whole.is_some();
        self.whole = self.whole.filter(|&whole| whole < self.within.len());
        one_line
    }
}

impl Formatter for Rows {
    fn begin_array<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.within.last() == Some(&true) {
            self.whole.get_or_insert(self.within.len());
        }
        self.within.push(true);
        if self.whole.is_some() { to.write_all(b"[") } else { self.lines.begin_array(to) }
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.end() { to.write_all(b"]") } else { self.lines.end_array(to) }
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        match self.whole {
            Some(_) if first => Ok(()),
            Some(_) => to.write_all(b","),
            None => self.lines.begin_array_value(to, first),
        }
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.whole.is_some() { Ok(()) } else { self.lines.end_array_value(to) }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.within.push(false);
        if self.whole.is_some() { to.write_all(b"{") } else { self.lines.begin_object(to) }
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.end() { to.write_all(b"}") } else { self.lines.end_object(to) }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        match self.whole {
            Some(_) if first => Ok(()),
            Some(_) => to.write_all(b","),
            None => self.lines.begin_object_key(to, first),
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.whole.is_some() { to.write_all(b":") } else { self.lines.begin_object_value(to) }
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.whole.is_some() { Ok(()) } else { self.lines.end_object_value(to) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn arrays_within_arrays_and_of_numbers_are_on_one_line_and_all_else_is_as_ever() {
        let value = json!({ "a": [1, 2], "confusion": [[3, 0], [], [{ "b": [4, 5], "c": {} }, "d"]], "e": [], "f": [{ "g": [6] }] });
        let expected = r#"{
  "a": [1,2],
  "confusion": [
    [3,0],
    [],
    [{"b":[4,5],"c":{}},"d"]
  ],
  "e": [],
  "f": [
    {
      "g": [6]
    }
  ]
}
"#;
        assert_eq!(pretty(&value), expected);
        let numbers = json!({ "a": [1, -2.5e-300, null], "b": [1, "2", 3] });
        let expected = "{\n  \"a\": [1,-2.5e-300,null],\n  \"b\": [\n    1,\n    \"2\",\n    3\n  ]\n}\n";
        assert_eq!(pretty(&numbers), expected);
        let plain = json!({ "a": ["1", "2"], "f": [{ "g": 6 }, {}], "h": "\"[\n1\n]", "i": true });
        assert_eq!(pretty(&plain), serde_json::to_string_pretty(&plain).unwrap() + "\n");
        for value in [value, plain, numbers, json!([[[1], 2], [3]]), json!([]), json!([7])] {
            assert_eq!(serde_json::from_str::<Value>(&pretty(&value)).unwrap(), value);
        }
    }
}
