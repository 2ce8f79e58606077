//! A short document of sentences and tables, and its three forms: plain text, Markdown and LaTeX.

use comfy_table::CellAlignment;

use crate::text::{finish, table};

/// Columns of a line of plain text, tables apart: they are as wide as they have to be.
const WIDTH: usize = 80;

/// Blocks, one below the other.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Document {
    /// In reading order.
    pub blocks: Vec<Block>,
}

/// A part of a document. Its words may come from outside; each form makes them harmless.
#[derive(Clone, PartialEq, Debug)]
pub enum Block {
    /// The first is the document's title.
    Heading(String),
    /// Sentences.
    Paragraph(String),
    /// One item a line.
    List(Vec<String>),
    /// Figures.
    Table(Table),
}

/// Rows of cells.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// One for each cell of a row.
    pub columns: Vec<Column>,
    /// A line break in a cell is where plain text, which has the least room, breaks it; the other forms put a space.
    pub rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Line breaks as in cells.
    pub heading: &'static str,
    /// Words are aligned left, numbers right.
    pub align: Align,
}

/// Where the cells of a column are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// At the left.
    Left,
    /// At the right.
    Right,
}

impl Document {
    /// The sentences before the first table, without the title.
    pub fn lead(&self) -> Document {
        let blocks =
            self.blocks.iter().skip(1).take_while(|block| matches!(block, Block::Paragraph(_) | Block::List(_)));
        Document { blocks: blocks.cloned().collect() }
    }

    /// Plain text, wrapped; ASCII, except where names are not.
    pub fn text(&self) -> String {
        let mut blocks = Vec::new();
        for block in &self.blocks {
            blocks.push(match block {
                Block::Heading(text) => {
                    let text = plain(text);
                    format!("{text}\n{}\n", "=".repeat(text.chars().count()))
                }
                Block::Paragraph(text) => wrapped(&plain(text), "", ""),
                Block::List(items) => items.iter().map(|item| wrapped(&plain(item), "- ", "  ")).collect(),
                Block::Table(table) => text_table(table),
            });
        }
        blocks.join("\n")
    }

    /// Markdown as GitHub reads it.
    pub fn markdown(&self) -> String {
        let mut blocks = Vec::new();
        for (n, block) in self.blocks.iter().enumerate() {
            blocks.push(match block {
                Block::Heading(text) => format!("{} {}\n", if n == 0 { "##" } else { "###" }, markdown(text)),
                Block::Paragraph(text) => markdown(text) + "\n",
                Block::List(items) => items.iter().map(|item| format!("- {}\n", markdown(item))).collect(),
                Block::Table(table) => {
                    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
                    let mut text = row(table.columns.iter().map(|column| markdown(column.heading)).collect());
                    let rules = table.columns.iter().map(|column| match column.align {
                        Align::Left => "---".to_owned(),
                        Align::Right => "---:".to_owned(),
                    });
                    text.push_str(&row(rules.collect()));
                    for cells in &table.rows {
                        text.push_str(&row(cells.iter().map(|cell| markdown(cell)).collect()));
                    }
                    text
                }
            });
        }
        blocks.join("\n")
    }

    /// A fragment of LaTeX for `\input`; its tables need the package booktabs.
    pub fn latex(&self) -> String {
        let mut blocks = vec!["% Needs \\usepackage{booktabs}.\n".to_owned()];
        for block in &self.blocks {
            blocks.push(match block {
                Block::Heading(text) => format!("\\paragraph{{{}}}\n", latex(text)),
                Block::Paragraph(text) => latex(text) + "\n",
                Block::List(items) => {
                    let items: String = items.iter().map(|item| format!("\\item {}\n", latex(item))).collect();
                    format!("\\begin{{itemize}}\n{items}\\end{{itemize}}\n")
                }
                Block::Table(table) => latex_table(table),
            });
        }
        blocks.join("\n")
    }
}

/// Without anything that steers a terminal but line breaks.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

/// On one line, without anything that steers a terminal.
fn one_line(text: &str) -> String {
    plain(text).replace("-\n", "-").replace('\n', " ")
}

fn wrapped(text: &str, first: &str, others: &str) -> String {
    let (mut lines, mut line) = (String::new(), first.to_owned());
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = others.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines + &line + "\n"
}

fn text_table(contents: &Table) -> String {
    let headings: Vec<&str> = contents.columns.iter().map(|column| column.heading).collect();
    let mut table = table(&headings, 0);
    for (column, Column { align, .. }) in table.column_iter_mut().zip(&contents.columns) {
        column.set_cell_alignment(match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
    }
    for row in &contents.rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    finish(&table)
}

fn latex_table(table: &Table) -> String {
    let columns: String =
        table.columns.iter().map(|column| if column.align == Align::Left { 'l' } else { 'r' }).collect();
    let row = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
    let headings = table.columns.iter().map(|column| {
        let lines: Vec<String> = column.heading.split('\n').map(latex).collect();
        let side = if column.align == Align::Left { 'l' } else { 'r' };
        if lines.len() == 1 { lines[0].clone() } else { format!("\\shortstack[{side}]{{{}}}", lines.join("\\\\")) }
    });
    let headings = row(headings.collect());
    let rows: String = table.rows.iter().map(|cells| row(cells.iter().map(|cell| latex(cell)).collect())).collect();
    format!(
        "\\begin{{center}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{headings}\\midrule\n{rows}\\bottomrule\n\
         \\end{{tabular}}\n\\end{{center}}\n"
    )
}

/// Every sign that Markdown could read as more than itself, escaped.
fn markdown(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '|' | '<' | '>' | '[' | ']' | '~' | '#' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn latex(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::new();
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A hyphen is no minus.
            '-' if before == ' ' && chars.peek().is_some_and(char::is_ascii_digit) => out.push_str("$-$"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            // A cell that starts with a bracket would be read as the argument of the line break above it.
            '[' | ']' => out.extend(['{', c, '}']),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let column = |heading, align| Column { heading, align };
        Document {
            blocks: vec![
                Block::Heading("A \u{1b}[31m*title*".to_owned()),
                Block::Paragraph(
                    "A sentence of 100 % ordinary words that is longer than a line of eighty columns, so that it breaks."
                        .to_owned(),
                ),
                Block::List(vec!["one".to_owned(), "two_three".to_owned()]),
                Block::Table(Table {
                    columns: vec![column("recipe", Align::Left), column("many\nseeds", Align::Right)],
                    rows: vec![
                        vec!["a|b\nc".to_owned(), "1".to_owned()],
                        vec!["[x]\\^~{}<&>".to_owned(), "-23".to_owned()],
                    ],
                }),
            ],
        }
    }

    #[test]
    fn text_wraps_and_aligns() {
        let expected = "\
A ?[31m*title*
==============

A sentence of 100 % ordinary words that is longer than a line of eighty columns,
so that it breaks.

- one
- two_three

recipe        many
             seeds
-------------------
a|b              1
c
[x]\\^~{}<&>    -23
";
        assert_eq!(document().text(), expected, "\n{}", document().text());
    }

    #[test]
    fn markdown_escapes_what_it_would_read() {
        let expected = "\
## A ?\\[31m\\*title\\*

A sentence of 100 % ordinary words that is longer than a line of eighty columns, so that it breaks.

- one
- two\\_three

| recipe | many seeds |
| --- | ---: |
| a\\|b c | 1 |
| \\[x\\]\\\\^\\~{}\\<\\&\\> | -23 |
";
        assert_eq!(document().markdown(), expected, "\n{}", document().markdown());
    }

    #[test]
    fn latex_escapes_what_it_would_read() {
        let expected = "\
% Needs \\usepackage{booktabs}.

\\paragraph{A ?{[}31m*title*}

A sentence of 100 \\% ordinary words that is longer than a line of eighty columns, so that it breaks.

\\begin{itemize}
\\item one
\\item two\\_three
\\end{itemize}

\\begin{center}
\\begin{tabular}{lr}
\\toprule
recipe & \\shortstack[r]{many\\\\seeds} \\\\
\\midrule
a\\textbar{}b c & 1 \\\\
{[}x{]}\\textbackslash{}\\textasciicircum{}\\textasciitilde{}\\{\\}\\textless{}\\&\\textgreater{} & $-$23 \\\\
\\bottomrule
\\end{tabular}
\\end{center}
";
        assert_eq!(document().latex(), expected, "\n{}", document().latex());
    }
}
