//! The page and the contact sheet of `tenfold data PATH --out DIR`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tenfold_data::{Alike, Collection, Examples, Likeness, Moments, Pairs, Place, Role, class_counts};
use tenfold_report::data::contact_sheet::contact_sheet;
use tenfold_report::data::layout::{Layout, MOST, evenly};
use tenfold_report::data::page::data_page;
use tenfold_report::data::{self, Channel, Class, DataSheet, Example, Side};
use tenfold_report::format::count;

use crate::failure::{Failure, IO, USAGE};
use crate::look;
use crate::output::plain;
use crate::understood::channels;

const PAGE: &str = "data.html";
const SHEET: &str = "contact-sheet.png";

/// Pairs of a kind that are shown at most.
const MOST_PAIRS: usize = 40;
/// Unreadable files that the page names at most.
const MOST_UNREADABLE: usize = 1_000;
/// The longest side of an image of a pair.
const PAIR_PX: usize = 64;

/// A contact sheet, and what a page says, before it is known how the data is split.
pub(crate) struct Drawn {
    pub(crate) page: DataSheet,
    png: Vec<u8>,
}

/// Refuses a folder within the data, where the contact sheet would be a picture of a class.
pub(crate) fn check(out: &Path, data: &Path) -> Result<(), Failure> {
    let refused = |what: &str, hint: &str| {
        Err(Failure::new(USAGE, format!("--out {}: {what}", out.display()), Some(hint.to_owned())))
    };
    if out.exists() && !out.is_dir() {
        return refused("is a file, expected a folder, or none yet", "name another");
    }
    let real = |path: &Path| path.canonicalize().ok();
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let there = absolute.ancestors().find_map(real);
    if data.is_dir() && real(data).zip(there).is_some_and(|(data, out)| out.starts_with(data)) {
        return refused("is in the data set, of which the contact sheet would be a picture", "name a folder elsewhere");
    }
    Ok(())
}

/// Draws what there is to see of `collection`, in which `found` is alike.
pub(crate) fn draw(
    collection: &Collection,
    found: &Alike,
    moments: &[Moments],
    too_small: Option<String>,
    path: &Path,
) -> Drawn {
    let of_class = Members::of(collection);
    let largest = of_class.lists.iter().map(Vec::len).max().unwrap_or(0).min(MOST);
    let size = [collection.shape.height, collection.shape.width];
    let for_sheet = Layout::contact_sheet(of_class.lists.len(), largest, size);
    let all: usize = of_class.lists.iter().map(Vec::len).sum();
    let sheet = of_class.classes(collection, for_sheet);
    let title = plain(&collection.name);
    let notes = [format!(
        "{} {} images of {}, at most {} of each class, picked evenly; behind each name, how many there are",
        count(all as u64),
        of_class.part,
        collection.shape,
        for_sheet.per_class
    )];
    let png = contact_sheet(&title, &notes, &sheet);
    drop(sheet);

    let mut classes = of_class.classes(collection, Layout::page(of_class.lists.len(), largest, size));
    let unlabelled = if collection.classes.is_empty() { classes.pop() } else { None };
    let unreadable = collection.unreadable.iter().take(MOST_UNREADABLE);
    let names = if moments.len() == 1 { &["grey"] } else { channels(moments.len()) };
    let channel = |(name, moments): (&&str, &Moments)| Channel {
        name: (*name).to_owned(),
        mean: moments.mean,
        deviation: moments.deviation,
    };
    let page = DataSheet {
        title,
        place: plain(&path.display().to_string()),
        notes: collection.notes.iter().map(|note| plain(note)).collect(),
        sha256: collection.sha256.clone(),
        parts: labelled(collection).map(|(name, _)| name.to_owned()).collect(),
        classes,
        unlabelled,
        channels: names.iter().zip(moments).map(channel).collect(),
        too_small,
        split: (String::new(), Vec::new()),
        across: pairs(collection, collection.pairs_across(found, MOST_PAIRS)),
        of_two_classes: pairs(collection, collection.pairs_of_two_classes(found, MOST_PAIRS)),
        unreadable: unreadable
            .map(|file| (plain(&file.path.display().to_string()), format!("it {}", plain(&file.reason))))
            .collect(),
        unreadable_count: collection.unreadable.len() as u64,
    };
    Drawn { page, png }
}

impl Drawn {
    /// Writes both files, and gives their paths. Each is the old one or the new one, whatever happens meanwhile.
    pub(crate) fn write(&self, out: &Path) -> Result<[PathBuf; 2], Failure> {
        let failed =
            |path: &Path, reason| Failure::new(IO, format!("{}: cannot be written: {reason}", path.display()), None);
        fs::create_dir_all(out).map_err(|reason| failed(out, reason))?;
        let write = |name: &str, bytes: &[u8]| -> Result<PathBuf, Failure> {
            let (path, temporary) = (out.join(name), out.join(format!(".{name}.tmp")));
            let written = File::create(&temporary).and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            });
            written.and_then(|()| fs::rename(&temporary, &path)).map_err(|reason| {
                let _ = fs::remove_file(&temporary);
                failed(&path, reason)
            })?;
            Ok(path)
        };
        Ok([write(PAGE, data_page(&self.page).as_bytes())?, write(SHEET, &self.png)?])
    }
}

/// The parts with labels.
fn labelled(collection: &Collection) -> impl Iterator<Item = (&'static str, &Examples)> {
    collection.parts().filter(|(_, part)| !part.labels.is_empty())
}

/// The images to choose examples from: the numbers of those of each class.
struct Members {
    /// What the part is called that they are in.
    part: &'static str,
    lists: Vec<Vec<usize>>,
}

impl Members {
    /// Those of training; where nothing has labels, all.
    fn of(collection: &Collection) -> Members {
        if let (true, Some(part)) = (collection.classes.is_empty(), &collection.unlabelled) {
            return Members { part: "unlabelled", lists: vec![(0..part.len(collection.shape.len())).collect()] };
        }
        let mut lists = vec![Vec::new(); collection.classes.len()];
        for (n, &label) in collection.train.labels.iter().enumerate() {
            lists[usize::from(label)].push(n);
        }
        Members { part: Role::Train.word(), lists }
    }

    /// As many of each as `layout` has room for.
    fn classes(&self, collection: &Collection, layout: Layout) -> Vec<Class> {
        let counts: Vec<Vec<u64>> =
            labelled(collection).map(|(_, part)| class_counts(&part.labels, collection.classes.len())).collect();
        let part = collection.unlabelled.as_ref().filter(|_| collection.classes.is_empty());
        let part = part.unwrap_or(&collection.train);
        let len = collection.shape.len();
        let example = |n: usize| {
            let image = look::image(collection.shape, &part.pixels[n * len..][..len]);
            Example { name: name(part, self.part, n), image: layout.shrunk(&image) }
        };
        let class = |(class, list): (usize, &Vec<usize>)| Class {
            name: collection.classes.get(class).map_or("without labels".to_owned(), |name| plain(name)),
            counts: counts.iter().map(|counts| counts[class]).collect(),
            examples: evenly(list.len(), layout.per_class).map(|place| example(list[place])).collect(),
            of: list.len() as u64,
        };
        self.lists.iter().enumerate().map(class).collect()
    }
}

/// What an image is called: by its path, or by its number.
fn name(part: &Examples, called: &str, n: usize) -> String {
    part.paths.get(n).map_or_else(|| format!("{called} image {n}"), |path| plain(path))
}

fn pairs(collection: &Collection, pairs: Pairs) -> data::Pairs {
    let layout = Layout { side: PAIR_PX, per_class: 1 };
    let side = |place: Place| {
        let part = collection.part(place.role);
        let class = part.labels.get(place.index).map(|&label| plain(&collection.classes[usize::from(label)]));
        let image = layout.shrunk(&look::image(collection.shape, collection.image(place)));
        let called = place.role.word();
        let example = Example { name: name(part, called, place.index), image };
        Side { example, part: called.to_owned(), class: class.unwrap_or_default() }
    };
    let pair = |pair: &tenfold_data::Pair| data::Pair {
        likeness: match pair.likeness {
            Likeness::Identical => "identical",
            Likeness::Nearly => "nearly identical",
            Likeness::Turned => "turned or mirrored",
        },
        sides: [side(pair.first), side(pair.second)],
    };
    data::Pairs {
        identical: pairs.identical as u64,
        nearly: pairs.nearly as u64,
        turned: pairs.turned as u64,
        shown: pairs.shown.iter().map(pair).collect(),
    }
}
