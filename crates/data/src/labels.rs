//! From the numbers of a label file to classes.

use crate::DataError;
use crate::idx::{Idx, IdxValues};

/// The most classes that a data set may have.
pub const MAX_CLASSES: usize = 1_000;

/// What the numbers of label files mean: the class of a number is its distance from the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Labels {
    /// The number of class 0; 1 where labels count from 1.
    pub first: u32,
    /// How many classes there are, 2 to [`MAX_CLASSES`].
    pub classes: usize,
}

impl Labels {
    /// Numbers from 0 on.
    pub fn from_zero(classes: usize) -> Labels {
        Labels { first: 0, classes }
    }

    /// `labels 1 to 26 are classes 0 to 25`; nothing where the labels are the classes.
    pub fn as_classes(self) -> Option<String> {
        // Saturating: a record may hold anything.
        let last = self.classes.saturating_sub(1) as u64;
        let (first, last_label) = (self.first, u64::from(self.first).saturating_add(last));
        (first > 0).then(|| format!("labels {first} to {last_label} are classes 0 to {last}"))
    }

    /// The number of each class, as its name.
    pub fn names(self) -> Vec<String> {
        (0..self.classes as u64).map(|class| u64::from(self.first).saturating_add(class).to_string()).collect()
    }

    /// The number of the last class.
    pub(crate) fn last(self) -> i64 {
        i64::from(self.first) + self.classes as i64 - 1
    }

    /// Which numbers these files need: from the lowest that occurs, or 0 where that is negative, to the highest.
    pub(crate) fn counted(files: &[&LabelFile]) -> Result<Labels, DataError> {
        let low = files.iter().map(|file| file.low).min().unwrap_or(0);
        let high = files.iter().map(|file| file.high).max().unwrap_or(0);
        let first = u32::try_from(low).unwrap_or(0);
        let classes = usize::try_from(high - i64::from(first) + 1).unwrap_or(0);
        if low >= 0 && !(2..=MAX_CLASSES).contains(&classes) {
            return Err(DataError::CountedClasses { low, high });
        }
        Ok(Labels { first, classes: classes.clamp(2, MAX_CLASSES) })
    }
}

/// A label file: integers, one for each image.
pub(crate) struct LabelFile {
    /// What errors call it.
    name: String,
    values: IdxValues,
    /// The lowest number.
    low: i64,
    /// The highest.
    high: i64,
}

impl LabelFile {
    /// The file, if it holds integers with one dimension `[N]` or others of 1.
    pub(crate) fn new(name: String, Idx { dims, values, .. }: Idx) -> Result<LabelFile, DataError> {
        let numbers = integers(&values).filter(|_| one_each(&dims));
        let range =
            numbers.map(|numbers| numbers.fold((i64::MAX, i64::MIN), |(low, high), n| (low.min(n), high.max(n))));
        match range {
            Some((low, high)) => Ok(LabelFile { name, values, low, high }),
            None => Err(DataError::NotLabels { name, dims, type_name: values.type_name() }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The numbers, in order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = i64> {
        integers(&self.values).into_iter().flatten()
    }

    /// The class of each number, each in `0..labels.classes`.
    pub(crate) fn classes(&self, labels: Labels) -> Result<Vec<u16>, DataError> {
        let numbers = || integers(&self.values).expect("a label file holds integers");
        let (first, last) = (i64::from(labels.first), labels.last());
        if self.low < first || self.high > last {
            let outside = numbers().enumerate().find(|(_, number)| !(first..=last).contains(number));
            let (position, found) = outside.expect("the lowest or the highest is outside");
            let range = [self.low, self.high];
            return Err(DataError::Label { name: self.name.clone(), position, found, labels, range });
        }
        Ok(numbers().map(|number| (number - first) as u16).collect())
    }
}

/// How many examples each of `classes` classes has.
///
/// # Panics
/// If a label is not in `0..classes`.
pub fn class_counts(labels: &[u16], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// Whether an array of these dimensions has one element for each of its first dimension.
pub(crate) fn one_each(dims: &[usize]) -> bool {
    dims.iter().skip(1).all(|&dim| dim == 1)
}

/// The elements, if they are integers.
fn integers(values: &IdxValues) -> Option<Box<dyn Iterator<Item = i64> + '_>> {
    Some(match values {
        IdxValues::U8(values) => Box::new(values.iter().map(|&value| value.into())),
        IdxValues::I8(values) => Box::new(values.iter().map(|&value| value.into())),
        IdxValues::I16(values) => Box::new(values.iter().map(|&value| value.into())),
        IdxValues::I32(values) => Box::new(values.iter().map(|&value| value.into())),
        IdxValues::F32(_) | IdxValues::F64(_) => return None,
    })
}

/// What to set so that labels from `low` to `high` are accepted, where `labels` was set.
pub(crate) fn remedy(labels: Labels, [low, high]: [i64; 2]) -> String {
    let needed = |first: i64| high - first + 1;
    let first = i64::from(labels.first);
    let possible = |classes: i64| (2..=MAX_CLASSES as i64).contains(&classes);
    let set = |first: i64, classes: i64| {
        let first = if first == 0 { String::new() } else { format!(" and first_label = {first}") };
        format!("classes = {classes}{first} (and \"linear {classes}\" as the last layer)")
    };
    // Where labels start above the first class, that may be a mistake or a class without images: only the person knows.
    let shifted = (low > first && possible(needed(low))).then(|| set(low, needed(low)));
    let widened = (low >= first && possible(needed(first))).then(|| set(first, needed(first)));
    let lowered = (low < first && low >= 0 && possible(needed(low))).then(|| set(low, needed(low)));
    match (shifted, widened, lowered) {
        (Some(shifted), Some(widened), _) => format!(
            "in a study file, under [data]: {shifted}, if the classes are counted from {low}; or {widened}, if {first} is a class too"
        ),
        (Some(one), ..) | (_, Some(one), _) | (.., Some(one)) => format!("in a study file, under [data]: {one}"),
        _ if low < 0 => "labels cannot be negative: write the files anew with labels from 0 on".to_owned(),
        _ => format!("there can be at most {MAX_CLASSES} classes: write the files anew with labels from 0 on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idx;
    use crate::testing::file;

    fn read(bytes: &[u8]) -> Result<LabelFile, DataError> {
        LabelFile::new("x".to_owned(), idx::read(bytes, "x")?)
    }

    fn of(labels: &[u8]) -> LabelFile {
        read(&file(8, &[labels.len() as u32], labels)).unwrap()
    }

    #[test]
    fn classes_are_distances_from_the_first_label() {
        let letters: Vec<u8> = (1..=26).rev().collect();
        let labels = Labels { first: 1, classes: 26 };
        assert_eq!(of(&letters).classes(labels).unwrap(), (0..26).rev().collect::<Vec<u16>>());
        assert_eq!(of(&[0, 9, 4]).classes(Labels::from_zero(10)).unwrap(), [0, 9, 4]);
        // 1000 and 1255 as i16, in two dimensions.
        let wide = read(&file(0x0b, &[2, 1], &[0x03, 0xe8, 0x04, 0xe7])).unwrap();
        assert_eq!(wide.classes(Labels { first: 1000, classes: 256 }).unwrap(), [0, 255]);
    }

    #[test]
    fn labels_that_are_not_the_classes_are_told() {
        let told = |first, classes| Labels { first, classes }.as_classes();
        assert_eq!(told(1, 26).as_deref(), Some("labels 1 to 26 are classes 0 to 25"));
        assert_eq!(told(0, 26), None);
        for (first, classes) in [(u32::MAX, usize::MAX), (1, 0)] {
            assert!(told(first, classes).is_some(), "{classes} from {first}");
        }
    }

    #[test]
    fn labels_are_counted_over_all_files() {
        let counted = |files: &[&[u8]]| {
            let files: Vec<LabelFile> = files.iter().map(|labels| of(labels)).collect();
            Labels::counted(&files.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        assert_eq!(counted(&[&[0, 3], &[5]]), Ok(Labels::from_zero(6)));
        assert_eq!(counted(&[&[26, 3], &[1]]), Ok(Labels { first: 1, classes: 26 }));
        assert_eq!(counted(&[&[0, 255]]), Ok(Labels::from_zero(256)));
        let most = read(&file(0x0b, &[2], &[0, 0, 0x03, 0xe7])).unwrap();
        assert_eq!(Labels::counted(&[&most]).unwrap(), Labels::from_zero(1_000));
        assert_eq!(counted(&[&[7, 7], &[7]]), Err("all labels are 7, expected 2 to 1000 classes".to_owned()));
        let wide = read(&file(0x0b, &[2], &[0, 0, 0x03, 0xe8])).unwrap();
        let message = Labels::counted(&[&wide]).unwrap_err().to_string();
        assert_eq!(message, "the labels are 0 to 1000, expected 2 to 1000 classes");
    }

    /// The error for labels that are not those that were set, and what to do about it.
    #[track_caller]
    fn refusal(labels: &[u8], set: Labels) -> (String, String) {
        let error = of(labels).classes(set).unwrap_err();
        (error.to_string(), error.hint().unwrap())
    }

    #[test]
    fn labels_out_of_range_are_refused_with_what_to_set() {
        let letters: Vec<u8> = (1..=26).collect();
        let (message, hint) = refusal(&letters, Labels::from_zero(10));
        assert_eq!(
            message,
            "x: label 9 (counted from 0) is 10, expected 0 to 9 for 10 classes; the labels are 1 to 26"
        );
        assert_eq!(
            hint,
            "in a study file, under [data]: classes = 26 and first_label = 1 (and \"linear 26\" as the last layer), if the \
             classes are counted from 1; or classes = 27 (and \"linear 27\" as the last layer), if 0 is a class too"
        );
        let (message, hint) = refusal(&letters, Labels { first: 1, classes: 10 });
        assert!(message.contains("label 10 (counted from 0) is 11, expected 1 to 10 for 10 classes"), "{message}");
        assert_eq!(
            hint,
            "in a study file, under [data]: classes = 26 and first_label = 1 (and \"linear 26\" as the last layer)"
        );
        let (_, hint) = refusal(&[0, 12], Labels::from_zero(10));
        assert_eq!(hint, "in a study file, under [data]: classes = 13 (and \"linear 13\" as the last layer)");
        let (message, hint) = refusal(&[0, 9], Labels { first: 1, classes: 10 });
        assert!(message.contains("label 0 (counted from 0) is 0, expected 1 to 10"), "{message}");
        assert_eq!(hint, "in a study file, under [data]: classes = 10 (and \"linear 10\" as the last layer)");
        let negative = read(&file(9, &[2], &[255, 1])).unwrap().classes(Labels::from_zero(10)).unwrap_err();
        assert_eq!(negative.hint().unwrap(), "labels cannot be negative: write the files anew with labels from 0 on");
        let wide = read(&file(0x0b, &[2], &[0, 0, 0x03, 0xe8])).unwrap().classes(Labels::from_zero(10)).unwrap_err();
        assert!(wide.hint().unwrap().starts_with("there can be at most 1000 classes"));
    }

    #[test]
    fn the_examples_of_each_class_are_counted() {
        assert_eq!(class_counts(&[2, 0, 2], 4), [1, 0, 2, 0]);
        assert_eq!(class_counts(&[], 1), [0]);
    }

    #[test]
    fn what_is_no_list_of_integers_is_refused() {
        for (bytes, found) in [
            (file(8, &[3, 2], &[0; 6]), "3x2 elements of type u8"),
            (file(0x0d, &[3], &[0; 12]), "3 elements of type f32"),
        ] {
            let message = read(&bytes).err().expect("it is refused").to_string();
            assert_eq!(message, format!("x: holds {found}, expected labels: integers with one dimension [N]"));
        }
        assert_eq!(read(&file(8, &[3, 1], &[2, 0, 1])).unwrap().classes(Labels::from_zero(3)).unwrap(), [2, 0, 1]);
    }
}
