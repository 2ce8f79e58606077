//! What was read: labelled images of one shape, their classes by name, their parts, and what is known about them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::words::{self, counted};
use crate::{DataError, ImageShape, MAX_CLASSES, hex, natural};

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

/// Images of a part and what belongs to each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Examples {
    /// All images, `[N, C, H, W]`.
    pub pixels: Vec<u8>,
    /// The class of each image, `[N]`; empty where images have none.
    pub labels: Vec<u16>,
    /// The group of each image, `[N]`; empty where none are known.
    pub groups: Vec<u32>,
    /// The path of each image, `[N]`; empty where images have no files of their own.
    pub paths: Vec<String>,
    /// A number of each image, `[N]`, by its pixels before they took a size, a shape or colours: what is set apart goes by
    /// these, so that it stays the same whatever settings are tried. Empty where none are known.
    pub keys: Vec<u64>,
}

/// A file that could not be read, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Its path.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What a part of the data is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// For fitting.
    Train,
    /// For choosing.
    Valid,
    /// For the final measurement.
    Test,
}

impl Role {
    /// The role that a folder, a file, a key or a column calls so.
    pub(crate) fn of(word: &str) -> Option<Role> {
        match word.to_ascii_lowercase().as_str() {
            "train" | "training" | "trn" => Some(Role::Train),
            // FER2013's public test was there to choose by, its private test to measure with.
            "valid" | "val" | "validation" | "validate" | "dev" | "publictest" => Some(Role::Valid),
            "test" | "testing" | "tst" | "t10k" | "privatetest" => Some(Role::Test),
            _ => None,
        }
    }

    /// The role of a name that holds one such word between others: `sign_mnist_train`.
    pub(crate) fn within(name: &str) -> Option<Role> {
        let mut roles = name.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(Role::of);
        let first = roles.next()?;
        roles.all(|role| role == first).then_some(first)
    }

    /// What the part is called: `training`, `validation` or `test`.
    pub fn word(self) -> &'static str {
        match self {
            Role::Train => "training",
            Role::Valid => "validation",
            Role::Test => "test",
        }
    }
}

/// Names, each with a number: in the order in which they first came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Names {
    /// By number.
    pub(crate) list: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    /// The number of a name, its next one where it is new.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.list.len() as u32;
        self.list.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// Gives each its other name, if these differ from each other; says whether it did.
    pub(crate) fn rename(&mut self, names: Vec<String>) -> bool {
        let mut renamed = Names::default();
        for name in &names {
            renamed.number(name);
        }
        let all_differ = renamed.list.len() == self.list.len();
        if all_differ {
            *self = renamed;
        }
        all_differ
    }
}

/// A part as a reader found it: its labels are numbers of names.
#[derive(Default)]
pub(crate) struct Part {
    /// None where images have no labels.
    pub(crate) role: Option<Role>,
    /// What errors call it.
    pub(crate) name: String,
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u32>,
    pub(crate) groups: Vec<u32>,
    pub(crate) paths: Vec<String>,
    /// As [`Examples::keys`].
    pub(crate) keys: Vec<u64>,
}

/// In which order classes come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Order {
    /// Their names were met on the way.
    #[default]
    Natural,
    /// Their names are a list with an order of its own.
    Listed,
    /// And each of the list is a class, whether images of it are there or not.
    Whole,
}

/// What a reader found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) parts: Vec<Part>,
    pub(crate) shape: Option<ImageShape>,
    pub(crate) names: Names,
    pub(crate) order: Order,
    pub(crate) groups: Names,
    pub(crate) notes: Vec<String>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) white: Option<f32>,
    pub(crate) range16: Option<[u16; 2]>,
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
        collection.say_counts();
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

impl Examples {
    /// How many there are, of a shape of `image_len` pixels.
    pub fn len(&self, image_len: usize) -> usize {
        self.pixels.len() / image_len.max(1)
    }

    fn append(&mut self, mut other: Examples) {
        if self.pixels.is_empty() {
            *self = other;
            return;
        }
        self.pixels.append(&mut other.pixels);
        self.labels.append(&mut other.labels);
        self.groups.append(&mut other.groups);
        self.paths.append(&mut other.paths);
        self.keys.append(&mut other.keys);
    }

    /// Their numbers by their pixels; of those that are the same by label, group and path.
    fn by_contents(&self, image_len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len(image_len) as u32).collect();
        let key = |n: u32| {
            let n = n as usize;
            let image = &self.pixels[n * image_len..(n + 1) * image_len];
            (image, self.labels.get(n), self.groups.get(n), self.paths.get(n))
        };
        order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
        order
    }

    /// Orders the examples by their contents, so that a training does not depend on how files are called and in which of
    /// them the images are; gives the number that each had.
    pub(crate) fn sort_by_contents(&mut self, image_len: usize) -> Vec<u32> {
        let order = self.by_contents(image_len);
        let by_order = |n: &u32| *n as usize;
        if !self.labels.is_empty() {
            self.labels = order.iter().map(|n| self.labels[by_order(n)]).collect();
        }
        if !self.groups.is_empty() {
            self.groups = order.iter().map(|n| self.groups[by_order(n)]).collect();
        }
        if !self.keys.is_empty() {
            self.keys = order.iter().map(|n| self.keys[by_order(n)]).collect();
        }
        if !self.paths.is_empty() {
            self.paths = order.iter().map(|n| std::mem::take(&mut self.paths[by_order(n)])).collect();
        }
        reorder(&mut self.pixels, image_len, order.clone());
        order
    }
}

/// The number of an image by its size and its pixels, `[H, W, C]`: the first bytes of their SHA-256.
pub(crate) fn key(width: usize, height: usize, bytes: &[u8]) -> u64 {
    let sizes = [width, height].map(|side| (side as u64).to_le_bytes()).concat();
    let digest = Sha256::new().chain_update(sizes).chain_update(bytes).finalize();
    digest.iter().take(8).fold(0, |key, &byte| key << 8 | u64::from(byte))
}

/// Puts image `order[n]` in place `n`, for every n, without a second copy of them all: there may be gigabytes.
fn reorder(pixels: &mut [u8], image_len: usize, mut order: Vec<u32>) {
    let at = |n: u32| n as usize * image_len..(n as usize + 1) * image_len;
    for start in 0..order.len() as u32 {
        if order[start as usize] == start {
            continue;
        }
        let first = pixels[at(start)].to_vec();
        let mut place = start;
        // A place that has its image is marked by its own number.
        loop {
            let from = std::mem::replace(&mut order[place as usize], place);
            if from == start {
                break;
            }
            pixels.copy_within(at(from), at(place).start);
            place = from;
        }
        pixels[at(place)].copy_from_slice(&first);
    }
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

    fn say_counts(&mut self) {
        let len = self.shape.len();
        let counts: Vec<String> = self.parts().map(|(name, part)| format!("{} {name}", part.len(len))).collect();
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
        for (name, part) in self.parts() {
            digest.update(name);
            number(&mut digest, part.len(self.shape.len()));
            number(&mut digest, part.groups.len());
            // Test images are told apart by their numbers in what a run writes, so their order counts.
            let order = match name {
                "training" | "validation" => part.by_contents(self.shape.len()),
                _ => (0..part.len(self.shape.len()) as u32).collect(),
            };
            let order = || order.iter().map(|&n| n as usize);
            order().filter_map(|n| part.labels.get(n)).for_each(|label| digest.update(label.to_le_bytes()));
            order().filter_map(|n| part.groups.get(n)).for_each(|group| digest.update(group.to_le_bytes()));
            order().for_each(|n| digest.update(&part.pixels[n * self.shape.len()..][..self.shape.len()]));
        }
        hex(digest)
    }
}

/// Classes in their order, and the class of each number of a name.
#[derive(Default)]
struct Classes {
    names: Vec<String>,
    class_of: Vec<Option<u16>>,
    /// Whether they are those of a network, rather than of training images.
    known: bool,
}

impl Classes {
    /// The classes of a network.
    fn known(classes: &[String], names: &Names) -> Classes {
        let class_of = names.list.iter().map(|name| classes.iter().position(|class| class == name).map(|n| n as u16));
        Classes { names: classes.to_vec(), class_of: class_of.collect(), known: true }
    }

    /// The classes that training has: whatever is missing elsewhere, none of them moves.
    fn of_training(parts: &[Part], names: &Names, by: Order, path: &Path) -> Result<Classes, DataError> {
        let mut used = vec![by == Order::Whole; names.list.len()];
        let mut examples = 0;
        for part in parts.iter().filter(|part| part.role == Some(Role::Train)) {
            part.labels.iter().for_each(|&label| used[label as usize] = true);
            examples += part.labels.len();
        }
        if examples == 0 {
            let hint = "call the part to learn from `train`";
            return Err(DataError::contents(path, "holds no training images".to_owned(), Some(hint)));
        }
        let mut order: Vec<u32> = (0..names.list.len() as u32).filter(|&number| used[number as usize]).collect();
        if by == Order::Natural {
            order.sort_by(|&a, &b| natural::compare(&names.list[a as usize], &names.list[b as usize]));
        }
        let classes: Vec<String> = order.iter().map(|&number| names.list[number as usize].clone()).collect();
        if let Some(long) = classes.iter().find(|name| name.len() > MAX_NAME_BYTES) {
            let start: String = long.chars().take(40).collect();
            let what = format!(
                "has a class of a name of {} bytes, expected {MAX_NAME_BYTES} at most: {start:?} …",
                long.len()
            );
            return Err(DataError::contents(path, what, Some("is this the column of the labels?")));
        }
        if !(2..=MAX_CLASSES).contains(&classes.len()) {
            let what = match classes.len() {
                1 => format!("holds training images of one class, {:?}", classes[0]),
                n => format!("holds training images of {n} classes ({} …)", self::listed(&classes)),
            };
            let hint = "each class has a folder, a file or a label of its own";
            let what = format!("{what}, expected 2 to {MAX_CLASSES} classes");
            return Err(DataError::contents(path, what, Some(hint)));
        }
        let mut class_of = vec![None; names.list.len()];
        for (class, &number) in order.iter().enumerate() {
            class_of[number as usize] = Some(class as u16);
        }
        Ok(Classes { names: classes, class_of, known: false })
    }

    fn labels(&self, part: &Part, names: &Names, path: &Path) -> Result<Vec<u16>, DataError> {
        let unknown = part.labels.iter().find(|&&label| self.class_of[label as usize].is_none());
        if let Some(&label) = unknown {
            let count = part.labels.iter().filter(|&&other| other == label).count();
            let role = part.role.map_or("unlabelled", Role::word);
            let (why, hint) = if self.known {
                ("which the network does not know", "correct the name of the class, or leave these images out")
            } else {
                (
                    "of which there is no training image",
                    "give the class training images, correct its name, or leave these images out",
                )
            };
            let what = format!(
                "{}: {} of class {:?}, {why}, expected one of {}",
                part.name,
                counted(count, &format!("{role} image is"), &format!("{role} images are")),
                names.list[label as usize],
                listed(&self.names)
            );
            return Err(DataError::contents(path, what, Some(hint)));
        }
        Ok(part.labels.iter().filter_map(|&label| self.class_of[label as usize]).collect())
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
    use super::{Examples, reorder};
    use crate::testing::Folder;
    use crate::{Options, read};

    #[test]
    fn images_take_their_places() {
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 2, 3, 4, 0], [2, 0, 1, 4, 3]] {
            let mut pixels: Vec<u8> = (0..15).collect();
            reorder(&mut pixels, 3, order.to_vec());
            let expected = order.iter().flat_map(|&n| (0..3).map(move |at| 3 * n as u8 + at));
            assert!(pixels.iter().copied().eq(expected), "{order:?}: {pixels:?}");
        }
    }

    #[test]
    fn examples_are_ordered_by_contents_with_all_that_belongs_to_them() {
        let paths = ["d", "c", "b", "a"].map(str::to_owned).to_vec();
        let mut examples = Examples {
            pixels: vec![9, 0, 1, 1, 9, 0, 1, 0],
            labels: vec![1, 0, 0, 1],
            groups: vec![3, 2, 1, 0],
            paths,
            keys: vec![7, 8, 9, 6],
        };
        examples.sort_by_contents(2);
        assert_eq!(examples.pixels, [1, 0, 1, 1, 9, 0, 9, 0]);
        assert_eq!((examples.labels, examples.groups), (vec![1, 0, 0, 1], vec![0, 2, 1, 3]));
        assert_eq!(examples.paths, ["a", "c", "b", "d"]);
        assert_eq!(examples.keys, [6, 8, 9, 7]);
    }

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
}
