//! What was read: labelled images of one shape, their classes by name, their parts, and what is known about them.

mod classes;
mod examples;
mod found;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::words;
use crate::{Copies, DataError, ImageShape, hex, natural};

use classes::Classes;
pub use examples::Examples;
pub(crate) use examples::key;
pub use found::Role;
pub(crate) use found::{Found, Names, Order, Part};

/// The longest name of a class, in bytes.
pub const MAX_NAME_BYTES: usize = 1_000;

/// The most bytes of pixels of a collection: 4 GiB.
pub(crate) const MAX_PIXEL_BYTES: u64 = 4 << 30;

/// Labelled images of one shape, as people brought them.
#[derive(Clone, PartialEq, Debug)]
pub struct Collection {
    /// The name of the folder or file, without what follows a dot.
    pub name: String,
    /// The shape of each image.
    pub shape: ImageShape,
    /// The name of each class, as training has them: in natural order (`2` before `10`), or in the order of a list that
    /// came with the data.
    pub classes: Vec<String>,
    /// For fitting; empty only where nothing has labels.
    pub train: Examples,
    /// For choosing, where the data says which.
    pub valid: Option<Examples>,
    /// For the final measurement, where the data says which.
    pub test: Option<Examples>,
    /// Images without labels.
    pub unlabelled: Option<Examples>,
    /// The name of each group; none where no groups are known.
    pub groups: Vec<String>,
    /// Which images count as copies of each other.
    pub copies: Copies,
    /// Sentences on what was understood, in the order in which it was.
    pub notes: Vec<String>,
    /// Files that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// The number of arrays that became 255, where it was another.
    pub white: Option<f32>,
    /// The samples of 16-bit pictures that became 0 and 255, where there are such.
    pub range16: Option<[u16; 2]>,
    /// The SHA-256, in hex, of shape, classes, and each part with its labels, groups and pixels (those of training and
    /// validation in the order of their contents): all that training and evaluation see, however it was stored.
    pub sha256: String,
}

/// A file that could not be read, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Its path.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What the labels of images are for.
#[derive(Clone, Copy, Debug)]
pub enum Naming<'a> {
    /// To be learned: classes are those that training images have.
    Learned,
    /// To be compared with what a network says, whose classes these are, in its order.
    Known(&'a [String]),
    /// Nothing: they are left out, and so are classes.
    Unused,
}

impl Found {
    /// The whole: classes numbered, parts joined, identified.
    pub(crate) fn collect(self, path: &Path, naming: Naming) -> Result<Collection, DataError> {
        let Found { mut parts, shape, names, order, groups, mut notes, unreadable, white, range16 } = self;
        let bad = |what: String, hint: &str| DataError::contents(path, what, Some(hint));
        let Some(shape) = shape.filter(|_| parts.iter().any(|part| !part.pixels.is_empty())) else {
            return Err(bad("holds no images".to_owned(), "name the folder or file that holds them"));
        };
        if let Some([grouped, other]) = partly_grouped(&parts) {
            let role = grouped.role.map_or("unlabelled", Role::word);
            let what = format!(
                "holds {role} images with groups in {} and without groups in {}, \
                 expected groups for all of them or none",
                grouped.name, other.name
            );
            return Err(bad(what, "give both files a column of groups, or leave one of them out"));
        }
        let labelled = parts.iter().any(|part| part.role.is_some());
        let classes = match naming {
            Naming::Learned if labelled => Classes::of_training(&parts, &names, order, path)?,
            Naming::Learned => {
                notes.push("there are no labels: these images can be predicted, not trained on".to_owned());
                Classes::default()
            }
            Naming::Known(classes) => Classes::known(classes, &names),
            Naming::Unused => {
                parts.iter_mut().for_each(|part| part.labels.clear());
                Classes::default()
            }
        };
        let mut collection = Collection {
            name: name_of(path),
            shape,
            classes: classes.names.clone(),
            train: Examples::default(),
            valid: None,
            test: None,
            unlabelled: None,
            groups: groups.list,
            copies: Copies::default(),
            notes,
            unreadable,
            white,
            range16,
            sha256: String::new(),
        };
        for part in parts {
            let labels = classes.labels(&part, &names, path)?;
            let Part { role, pixels, groups, paths, keys, .. } = part;
            let into = match role {
                Some(Role::Train) => &mut collection.train,
                Some(Role::Valid) => collection.valid.get_or_insert_default(),
                Some(Role::Test) => collection.test.get_or_insert_default(),
                None => collection.unlabelled.get_or_insert_default(),
            };
            into.append(Examples { pixels, labels, groups, paths, keys });
        }
        collection.notes.extend(natural::of_one_number(&collection.classes));
        collection.say_counts(naming);
        collection.sha256 = collection.fingerprint();
        Ok(collection)
    }
}

/// Two parts that become one, of which only the first has groups: a group is found by the number of its image.
fn partly_grouped(parts: &[Part]) -> Option<[&Part; 2]> {
    parts.iter().filter(|part| !part.groups.is_empty()).find_map(|grouped| {
        let is_other = |part: &&Part| part.role == grouped.role && part.groups.is_empty() && !part.pixels.is_empty();
        Some([grouped, parts.iter().find(is_other)?])
    })
}

impl Collection {
    /// The parts that there are, each with what it is called.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Examples)> {
        let train = (!self.train.pixels.is_empty()).then_some(&self.train);
        [
            ("training", train),
            ("validation", self.valid.as_ref()),
            ("test", self.test.as_ref()),
            ("unlabelled", self.unlabelled.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, part)| Some((name, part?)))
    }

    fn say_counts(&mut self, naming: Naming) {
        let len = self.shape.len();
        let alone = self.parts().count() == 1;
        let counts: Vec<String> = self
            .parts()
            .map(|(name, part)| match naming {
                // Nobody trains on them: images that are not divided only have labels.
                Naming::Known(_) if alone && name == "training" => format!("{} labelled", part.len(len)),
                _ => format!("{} {name}", part.len(len)),
            })
            .collect();
        let classes = match self.classes.len() {
            0 => String::new(),
            n => format!(", {n} classes: {}", listed(&self.classes)),
        };
        self.notes.push(format!("{} images of {}{classes}", counts.join(", "), self.shape));
    }

    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let number = |digest: &mut Sha256, n: usize| digest.update((n as u64).to_le_bytes());
        for size in [self.shape.channels, self.shape.height, self.shape.width, self.classes.len()] {
            number(&mut digest, size);
        }
        for name in &self.classes {
            number(&mut digest, name.len());
            digest.update(name);
        }
        // Groups are numbered as they first come in that order, not as a reader met them.
        let mut groups: HashMap<u32, u32> = HashMap::new();
        for (name, part) in self.parts() {
            digest.update(name);
            number(&mut digest, part.len(self.shape.len()));
            number(&mut digest, part.groups.len());
            // Test images are told apart by their numbers in what a run writes, so their order counts.
            let order = match name {
                "training" | "validation" => part.by_contents(self.shape.len(), &self.groups),
                _ => (0..part.len(self.shape.len()) as u32).collect(),
            };
            let order = || order.iter().map(|&n| n as usize);
            order().filter_map(|n| part.labels.get(n)).for_each(|label| digest.update(label.to_le_bytes()));
            for group in order().filter_map(|n| part.groups.get(n)) {
                let next = groups.len() as u32;
                digest.update(groups.entry(*group).or_insert(next).to_le_bytes());
            }
            order().for_each(|n| digest.update(&part.pixels[n * self.shape.len()..][..self.shape.len()]));
        }
        hex(digest)
    }
}

/// The first of many names, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    words::listed(names, 12)
}

/// The last part of the path, also of one such as `.` that has none, without what follows a dot in a file's.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if full.is_dir() { full.file_name() } else { full.file_stem() };
    name.map_or("data".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use crate::testing::Folder;
    use crate::{Options, read};

    #[test]
    fn parts_of_one_role_have_groups_all_of_them_or_none() {
        let folder = Folder::new("collection-groups");
        let pixels = |sep: &str| (0..100).map(|n| format!("{sep}{n}")).collect::<String>();
        let rows = |head: &str, group: &str| {
            let (names, row) = (pixels(",p"), pixels(","));
            format!("{head}label{names}\n{group}0{row}\n{group}1{row}\n")
        };
        folder.write("a_train.csv", rows("group,", "g1,").as_bytes());
        folder.write("b_train.csv", rows("", "").as_bytes());
        let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
        let expected = "holds training images with groups in a_train.csv and without groups in b_train.csv, \
                        expected groups for all of them or none";
        assert!(message.ends_with(expected), "{message}");
        // Another role may have none.
        std::fs::rename(folder.0.join("b_train.csv"), folder.0.join("b_test.csv")).unwrap();
        let collection = read(&folder.0, &Options::default()).unwrap();
        assert_eq!((collection.train.groups.len(), collection.test.unwrap().groups.len()), (2, 0));
    }

    #[test]
    fn the_order_of_rows_numbers_groups_and_changes_nothing() {
        let folder = Folder::new("collection-numbers");
        let row = |n: usize| {
            let pixels: String = (0..16).map(|p| format!(",{}", (n * 37 + p * p) % 256)).collect();
            format!("p{},{}{pixels}\n", n % 3, n % 2)
        };
        let head = format!("group,label{}\n", (0..16).map(|p| format!(",pixel{p}")).collect::<String>());
        let sha256 = |order: [usize; 6]| {
            let rows: String = order.map(row).concat();
            let path = folder.write("set.csv", format!("{head}{rows}").as_bytes());
            read(&path, &Options::default()).unwrap().sha256
        };
        let one = sha256([0, 1, 2, 3, 4, 5]);
        assert_eq!(sha256([5, 4, 1, 0, 2, 3]), one);
        // Another group is other data.
        let path = folder
            .write("set.csv", format!("{head}{}", [0, 1, 2, 3, 4, 5].map(row).concat().replace("p2", "p1")).as_bytes());
        assert_ne!(read(&path, &Options::default()).unwrap().sha256, one);
    }
}
