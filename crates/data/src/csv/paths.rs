//! CSV of paths: a picture in a row, with its class, and perhaps its part and its group.

use std::path::{Path, PathBuf};

use super::columns::{Columns, GROUP, LABEL, NUMBER, PATH, SPLIT};
use super::table::Table;
use crate::DataError;
use crate::collection::{Found, Role, listed};
use crate::groups::GroupPattern;
use crate::options::{ONE_LEVEL, Options, Setting, UPRIGHT, Useless};
use crate::pictures::{self, Entry};
use crate::progress::Watch;
use crate::walk;

/// The most rows.
const MOST_ROWS: usize = 10_000_000;

/// How many columns are tried for names of files: each is looked for in every folder.
const MOST_TRIED: usize = 64;

/// The longest field, in bytes, that is looked for as a file.
const LONGEST_NAME: usize = 255;

const TWO_GROUPS: Useless = Useless {
    setting: Setting::Group,
    why: "columns.group says which column names the groups",
    remedy: "leave one of the two out",
};

/// What names of columns without a name are.
const UNNAMED: &[&str] = &["", "unnamed: 0"];

/// What names of pictures may lack.
const ENDINGS: [&str; 7] = ["", ".png", ".jpg", ".jpeg", ".JPG", ".bmp", ".gif"];

/// Reads the pictures that a file names; `role` is that of all of them where no column says which each has.
pub(crate) fn read(
    table: Table,
    role: Option<Role>,
    options: &Options,
    found: &mut Found,
    watch: &mut Watch,
) -> Result<(), DataError> {
    let path = &table.path;
    options.refuse(path, &[ONE_LEVEL, UPRIGHT])?;
    if options.columns.group.is_some() {
        options.refuse(path, &[TWO_GROUPS])?;
    }
    let first = &table.sample[0];
    let told = &options.columns;
    let places = Place::all(path)?;
    let width = first.len();
    // The header has no name of a file that is there.
    let names_file = || first.iter().take(MOST_TRIED).any(|name| places.iter().any(|place| place.holds(name)));
    let has_header = told.header.unwrap_or_else(|| !names_file());
    let mut columns = Columns { path, header: has_header.then_some(&first[..]), width };
    let mut data = &table.sample[usize::from(has_header)..];
    let mut choice = choose(&columns, data, &places, options)?;
    // Nor has it a name like those below it: that is a picture that is missing.
    if let Some((file, _)) = &choice
        && columns.header.is_some()
        && told.header.is_none()
        && data.iter().any(|row| row.get(*file).is_some_and(|name| same_ending(name, &first[*file])))
    {
        columns.header = None;
        data = &table.sample;
        choice = choose(&columns, data, &places, options)?;
    }
    let header = columns.header;
    let Some((file, place)) = choice else {
        let named = match columns.find("columns.path", told.path.as_ref(), &[])? {
            None => columns.header.and_then(|_| (0..width).find(|&column| is_called(&columns, column, PATH))),
            told => told,
        };
        let Some(file) = named.filter(|_| !data.is_empty()) else {
            let what = format!("names no file that is there, and holds no pixels; its first row is {}", listed(first));
            let hint = "paths are looked for beside the CSV file and in the folders beside it; columns.path = \"name\" says which column holds them";
            return Err(DataError::contents(path, what, Some(hint)));
        };
        let name = data.first().and_then(|row| row.get(file)).cloned().unwrap_or_default();
        let what = format!(
            "{} holds {name:?}, and there is no such file beside it or in the folders beside it",
            columns.name(file)
        );
        return Err(DataError::contents(path, what, Some("put the CSV file beside the pictures that it names")));
    };
    let words = |column: usize| data.iter().all(|row| row.get(column).is_some_and(|word| Role::of(word).is_some()));
    let split = match columns.find("columns.split", told.split.as_ref(), SPLIT)? {
        None if header.is_none() => (0..columns.width).find(|&column| column != file && words(column)),
        split => split,
    };
    let group = columns.find("columns.group", told.group.as_ref(), GROUP)?;
    let label = label(&columns, file, split, group, options)?;
    if label == Some(file) {
        let what = format!("{} holds both the paths and the classes", columns.name(file));
        let hint = "say which columns hold them: columns.path = \"name\" and columns.label = \"name\"";
        return Err(DataError::contents(path, what, Some(hint)));
    }
    let pattern = options.group.as_deref().map(GroupPattern::new).transpose()?;
    // What was told goes before what was guessed.
    let guessed = group.filter(|_| pattern.is_some());
    let group = group.filter(|_| pattern.is_none());

    let mut say = vec![format!("paths in {}", columns.name(file))];
    for (what, column) in [("classes", label), ("parts", split), ("groups", group)] {
        say.extend(column.map(|column| format!("{what} in {}", columns.name(column))));
    }
    let with = if header.is_some() { "with a header" } else { "without a header" };
    let parted = table.delimiter.name();
    found.notes.push(format!("a list of pictures, parted by {parted}, {with}: {}{}", say.join(", "), place.words()));
    found.notes.extend(guessed.map(|column| {
        format!("groups are named by group = \"...\"; {}, which may hold others, is passed over", columns.name(column))
    }));

    let mut rows = table.rows()?;
    if header.is_some() {
        rows.next_row()?;
    }
    let mut entries = Vec::new();
    while let Some((line, row)) = rows.next_of(width)? {
        let bad = |what: String, hint: &str| DataError::contents(path, format!("line {line}: {what}"), Some(hint));
        if entries.len() == MOST_ROWS {
            return Err(bad(format!("is one of more than {MOST_ROWS}"), "take fewer"));
        }
        let text = |column: usize| {
            let field = std::str::from_utf8(&row[column]).ok().filter(|field| !field.is_empty());
            field.ok_or_else(|| {
                bad(format!("{} is empty or not UTF-8", columns.name(column)), "fill it, and save the file as UTF-8")
            })
        };
        let shown = text(file)?;
        let role = match split {
            None => role.filter(|_| label.is_some()),
            Some(column) => {
                let word = text(column)?;
                let role = Role::of(word).ok_or_else(|| {
                    bad(
                        format!("{} is {word:?}, expected train, valid or test", columns.name(column)),
                        "write one of these",
                    )
                })?;
                Some(role).filter(|_| label.is_some())
            }
        };
        let picture = place.join(shown);
        let group = match (group, &pattern) {
            (Some(column), _) => Some(found.groups.number(text(column)?)),
            (None, Some(pattern)) => Some(found.groups.number(pattern.group(&picture, shown)?)),
            (None, None) => None,
        };
        let number = match label {
            Some(column) => found.names.number(text(column)?),
            None => 0,
        };
        entries.push(Entry { path: picture, shown: shown.to_owned(), role, label: number, group });
    }
    pictures::read(path, entries, options, found, watch)
}

/// The column of paths, and where the first file is that it names: what is told, else the first with a usual name of
/// paths that names a file, else any that does. Only where no column names a file as it is, endings are added to its
/// fields: with them, a label 3 names 3.png.
fn choose(
    columns: &Columns,
    data: &[Vec<String>],
    places: &[Place],
    options: &Options,
) -> Result<Option<(usize, Place)>, DataError> {
    let told = &options.columns;
    let (whole, lacking): (Vec<&Place>, Vec<&Place>) = places.iter().partition(|place| place.ending.is_empty());
    let names_file = |column: usize, places: &[&Place]| -> Option<(usize, Place)> {
        let mut names = data.iter().filter_map(|row| row.get(column));
        let place = names.find_map(|name| places.iter().find(|place| place.holds(name)).copied())?;
        Some((column, place.clone()))
    };
    if let Some(column) = columns.find("columns.path", told.path.as_ref(), &[])? {
        return Ok(names_file(column, &whole).or_else(|| names_file(column, &lacking)));
    }
    let taken = [
        columns.find("columns.label", told.label.as_ref(), &[])?,
        columns.find("columns.split", told.split.as_ref(), &[])?,
        columns.find("columns.group", told.group.as_ref(), &[])?,
    ];
    let is_other = |column: usize| {
        taken.contains(&Some(column))
            || [LABEL, SPLIT, GROUP, UNNAMED].iter().any(|usual| is_called(columns, column, usual))
    };
    let (usual, rest): (Vec<usize>, Vec<usize>) =
        (0..columns.width).filter(|&column| !is_other(column)).partition(|&column| is_called(columns, column, PATH));
    let [usual, rest] = [&usual, &rest].map(|columns| &columns[..columns.len().min(MOST_TRIED)]);
    let find = |among: &[usize], places: &[&Place]| among.iter().find_map(|&column| names_file(column, places));
    if let Some(found) = find(usual, &whole).or_else(|| find(rest, &whole)).or_else(|| find(usual, &lacking)) {
        return Ok(Some(found));
    }
    let mut found: Vec<(usize, Place)> = rest.iter().filter_map(|&column| names_file(column, &lacking)).collect();
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(|(column, _)| columns.name(*column)).collect();
        let what = format!("names files in more than one column, if endings are added: {}", listed(&names));
        return Err(DataError::contents(columns.path, what, Some("say which: columns.path = \"name\", or its number")));
    }
    Ok(found.pop())
}

/// Whether the header calls a column by one of these names.
fn is_called(columns: &Columns, column: usize, usual: &[&str]) -> bool {
    columns.header.is_some_and(|header| usual.contains(&header[column].to_lowercase().as_str()))
}

/// Whether two names of files have the same ending, and have one.
fn same_ending(a: &str, b: &str) -> bool {
    let ending = |name: &str| Path::new(name).extension().map(|ending| ending.to_ascii_lowercase());
    ending(a).is_some() && ending(a) == ending(b)
}

/// The column of classes: by name, else the only one left, else, without a header, the one behind the path.
fn label(
    columns: &Columns,
    file: usize,
    split: Option<usize>,
    group: Option<usize>,
    options: &Options,
) -> Result<Option<usize>, DataError> {
    if let Some(column) = columns.find("columns.label", options.columns.label.as_ref(), LABEL)? {
        return Ok(Some(column));
    }
    let counts =
        |column: usize| columns.header.is_some_and(|header| NUMBER.contains(&header[column].to_lowercase().as_str()));
    let taken = |column: usize| column == file || Some(column) == split || Some(column) == group || counts(column);
    let left: Vec<usize> = (0..columns.width).filter(|&column| !taken(column)).collect();
    match left[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ if columns.header.is_none() => {
            Ok(left.iter().copied().find(|&column| column > file).or(left.first().copied()))
        }
        _ => {
            let names: Vec<String> = left.iter().map(|&column| columns.name(column)).collect();
            let what = format!("has no column with a usual name of classes; it may be one of {}", listed(&names));
            Err(DataError::contents(columns.path, what, Some("say which: columns.label = \"name\"")))
        }
    }
}

/// Where the pictures are, and what their names lack.
#[derive(Clone)]
struct Place {
    folder: PathBuf,
    /// The name of the folder beside the CSV file, if it is not that of the file itself.
    name: Option<String>,
    ending: &'static str,
}

impl Place {
    /// Beside the CSV file, and in the folders beside it.
    fn all(csv: &Path) -> Result<Vec<Place>, DataError> {
        let beside = match csv.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let inner = walk::list(&beside)?.folders;
        let folders = [(beside, None)].into_iter().chain(inner.into_iter().map(|item| (item.path, Some(item.name))));
        Ok(folders
            .flat_map(|(folder, name)| {
                ENDINGS.map(|ending| Place { folder: folder.clone(), name: name.clone(), ending })
            })
            .collect())
    }

    /// Whether there is a file of this name.
    fn holds(&self, name: &str) -> bool {
        (1..=LONGEST_NAME).contains(&name.len()) && self.join(name).is_file()
    }

    fn join(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{}", self.ending))
    }

    fn words(&self) -> String {
        let inside = self.name.as_ref().map_or(String::new(), |name| format!("; they are in {name}"));
        let ending = if self.ending.is_empty() { String::new() } else { format!("; their names lack {}", self.ending) };
        format!("{inside}{ending}")
    }
}
