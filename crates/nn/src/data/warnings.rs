//! What is odd about a data set and its split, before anything is trained on it.

use std::collections::HashSet;
use std::fmt;

use tenfold_data::class_counts;

use super::{DataError, Dataset, Splits, words};

/// Fewer training images of a class than this are too few to learn it from.
const FEW: u64 = 5;

/// The most classes that a sentence names.
const MOST_NAMED: usize = 10;

impl Splits {
    /// Whether training on these examples can teach anything.
    ///
    /// # Errors
    /// If all training examples are of one class.
    pub fn check(&self) -> Result<(), DataError> {
        let labels = self.train.labels();
        match labels.first() {
            Some(&first) if labels.iter().all(|&label| label == first) => {
                Err(DataError::OneClass { examples: labels.len(), class: self.class_names[usize::from(first)].clone() })
            }
            _ => Ok(()),
        }
    }

    /// Sentences on what is odd about the examples, for a person to know before training. Looks at every pixel.
    pub fn warnings(&self) -> Vec<String> {
        let names = &self.class_names;
        let mut warnings = Vec::new();
        let test = class_counts(self.test.labels_for_report(), self.test.classes());
        let [train, valid] = [&self.train, &self.valid].map(|part| class_counts(part.labels(), part.classes()));
        if let Some(absent) = Classes::of(names, &train, |count| count == 0) {
            let it = absent.one_or_many("it", "they");
            warnings.push(format!("no training images of {absent}: {it} cannot be learned"));
        }
        if let Some(few) = Classes::of(names, &train, |count| (1..FEW).contains(&count)) {
            let named: Vec<String> =
                few.numbers.iter().map(|&class| format!("class {} has {}", names[class], train[class])).collect();
            warnings.push(format!("too few training images to learn from: {}", listed(&named)));
        }
        if let Some(leaks) = &self.leaks {
            warnings.extend_from_slice(leaks);
        } else {
            for (part, counts) in [("validation", &valid), ("test", &test)] {
                if let Some(absent) = Classes::of(names, counts, |count| count == 0) {
                    let its = absent.one_or_many("its", "their");
                    warnings.push(format!("no {part} images of {absent}: {its} recall there is not defined"));
                }
            }
            warnings.extend(disproportion(names, &train, &valid));
        }
        if all_alike(&self.train) {
            let n = self.train.len();
            warnings.push(format!("all {n} training images are the same, so there is nothing to learn from them"));
        } else if self.leaks.is_none() {
            warnings.extend(self.copies());
        }
        warnings
    }

    /// Images that are in two parts.
    fn copies(&self) -> Vec<String> {
        let train: HashSet<&[u8]> = (0..self.train.len()).map(|n| self.train.image(n)).collect();
        let valid: HashSet<&[u8]> = (0..self.valid.len()).map(|n| self.valid.image(n)).collect();
        let seen = |image: &[u8]| train.contains(image) || valid.contains(image);
        let in_test = (0..self.test.len()).filter(|&n| seen(self.test.image(n))).count();
        let in_valid = (0..self.valid.len()).filter(|&n| train.contains(self.valid.image(n))).count();
        let mut sentences = Vec::new();
        if in_test > 0 {
            let of = self.test.len();
            sentences.push(format!(
                "{in_test} of {of} test images are also training or validation images: test accuracy is too optimistic"
            ));
        }
        if in_valid > 0 {
            let of = self.valid.len();
            sentences.push(format!(
                "{in_valid} of {of} validation images are also training images: validation accuracy is too optimistic"
            ));
        }
        sentences
    }
}

/// Some classes, in order; at least one.
struct Classes<'a> {
    numbers: Vec<usize>,
    names: &'a [String],
}

impl Classes<'_> {
    /// Those whose count is as `wanted`; none if there are none.
    fn of<'a>(names: &'a [String], counts: &[u64], wanted: impl Fn(u64) -> bool) -> Option<Classes<'a>> {
        let numbers: Vec<usize> = (0..counts.len()).filter(|&class| wanted(counts[class])).collect();
        (!numbers.is_empty()).then_some(Classes { numbers, names })
    }

    fn one_or_many(&self, one: &'static str, many: &'static str) -> &'static str {
        if self.numbers.len() == 1 { one } else { many }
    }
}

/// `class 3`, `classes 3, 7`.
impl fmt::Display for Classes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let named: Vec<String> = self.numbers.iter().map(|&class| self.names[class].clone()).collect();
        write!(f, "{} {}", self.one_or_many("class", "classes"), listed(&named))
    }
}

/// Parts of a list, the first of them only where there are many.
fn listed(parts: &[String]) -> String {
    words::listed(parts, MOST_NAMED)
}

/// That validation images, chosen at random, are far from the proportions of the classes: by more than a quarter of
/// some class, and by more than one image.
fn disproportion(names: &[String], train: &[u64], valid: &[u64]) -> Option<String> {
    let (of_train, of_valid) = (train.iter().sum::<u64>(), valid.iter().sum::<u64>());
    let part = of_valid as f64 / (of_train + of_valid) as f64;
    let share = |class: usize| (train[class] + valid[class]) as f64 * part;
    let off = |class: &usize| valid[*class] as f64 - share(*class);
    let far = |class: &usize| off(class).abs() > (0.25 * share(*class)).max(1.0);
    let lowest = (0..valid.len()).filter(far).min_by(|a, b| off(a).total_cmp(&off(b)))?;
    let highest = (0..valid.len()).filter(far).max_by(|a, b| off(a).total_cmp(&off(b)))?;
    let named =
        |class: usize| format!("class {} has {}, its share would be {:.1}", names[class], valid[class], share(class));
    let named = if lowest == highest { named(lowest) } else { format!("{}; {}", named(lowest), named(highest)) };
    Some(format!(
        "the {of_valid} validation images, chosen at random, are not in the proportions of the classes: {named}; a larger valid in [data] or \
         another split_seed helps"
    ))
}

/// Whether all images are the same.
fn all_alike(images: &Dataset) -> bool {
    images.len() > 1 && (1..images.len()).all(|n| images.image(n) == images.image(0))
}

#[cfg(test)]
mod tests {
    use super::super::{HeldOut, ImageShape, Origins, Source};
    use super::*;

    /// Images of one row of two pixels, from (label, first pixel, second pixel).
    fn dataset(examples: &[(u8, u8, u8)], classes: usize) -> Dataset {
        let pixels = examples.iter().flat_map(|&(_, a, b)| [a, b]).collect();
        let labels = examples.iter().map(|example| example.0.into()).collect();
        Dataset::new(pixels, labels, ImageShape { channels: 1, height: 1, width: 2 }, classes).unwrap()
    }

    /// `counts[c]` different images of each class c; those of other `salt` are other images.
    fn of_counts(counts: &[usize], salt: u8) -> Dataset {
        let examples =
            counts.iter().enumerate().flat_map(|(class, &count)| (0..count).map(move |n| (class as u8, n as u8)));
        dataset(&examples.map(|(class, n)| (class, n, 16 * class + salt)).collect::<Vec<_>>(), counts.len())
    }

    fn splits(train: Dataset, valid: Dataset, test: Dataset) -> Splits {
        Splits {
            name: "any".to_owned(),
            class_names: (0..train.classes()).map(|class| class.to_string()).collect(),
            train,
            valid,
            test: HeldOut::new(test),
            test_origins: Origins::default(),
            source_sha256: String::new(),
            split_sha256: String::new(),
            is_mnist: false,
            white: None,
            range16: None,
            notes: vec![],
            leaks: None,
        }
    }

    fn warnings(train: &[usize], valid: &[usize], test: &[usize]) -> Vec<String> {
        splits(of_counts(train, 0), of_counts(valid, 1), of_counts(test, 2)).warnings()
    }

    #[test]
    fn one_class_is_refused() {
        let of = |train: &[usize]| splits(of_counts(train, 0), of_counts(&[1, 1], 1), of_counts(&[1, 1], 2));
        assert!(of(&[9, 1]).check().is_ok());
        let mut one = of(&[0, 9]);
        let message = "expected two classes at least: there is nothing to learn";
        assert_eq!(one.check().unwrap_err().to_string(), format!("all 9 training images are of class 1, {message}"));
        one.class_names = vec!["cat".to_owned(), "dog".to_owned()];
        assert_eq!(one.check().unwrap_err().to_string(), format!("all 9 training images are of class dog, {message}"));
        assert!(one.check().unwrap_err().hint().is_some());
    }

    #[test]
    fn mnist_gives_no_cause_for_warnings() {
        let splits = Source::mnist().split(6_000, 0).unwrap();
        assert!(splits.check().is_ok());
        assert_eq!(splits.warnings(), [""; 0]);
    }

    #[test]
    fn missing_and_rare_classes_are_named() {
        assert_eq!(warnings(&[9, 9, 9], &[3, 3, 3], &[1, 1, 1]), [""; 0]);
        assert_eq!(
            warnings(&[9, 0, 9], &[3, 0, 3], &[1, 1, 0]),
            [
                "no training images of class 1: it cannot be learned",
                "no validation images of class 1: its recall there is not defined",
                "no test images of class 2: its recall there is not defined",
            ]
        );
        let found = warnings(&[0, 9, 9, 0, 1], &[1, 3, 3, 1, 1], &[1; 5]);
        assert_eq!(
            found[..2],
            [
                "no training images of classes 0, 3: they cannot be learned",
                "too few training images to learn from: class 4 has 1",
            ]
        );
        let found = warnings(&[&[9, 9][..], &[0; 12]].concat(), &[&[3, 3][..], &[1; 12]].concat(), &[1; 14]);
        assert!(
            found[0].starts_with("no training images of classes 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more: they"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn validation_far_from_the_proportions_is_told() {
        let helps = "a larger valid in [data] or another split_seed helps";
        let valid = [6, 5, 2, 2, 5, 7, 3, 5, 3, 2];
        let train = valid.map(|n| 20 - n);
        assert_eq!(
            warnings(&train, &valid, &[1; 10]),
            [format!(
                "the 40 validation images, chosen at random, are not in the proportions of the classes: class 2 has 2, its \
                 share would be 4.0; class 5 has 7, its share would be 4.0; {helps}"
            )]
        );
        // One image more or fewer, and up to a quarter, is nothing.
        assert_eq!(warnings(&[17, 15, 16], &[3, 5, 4], &[1; 3]), [""; 0]);
        assert_eq!(warnings(&[76, 84], &[24, 16], &[1; 2]), [""; 0]);
        assert_eq!(warnings(&[74, 86], &[26, 14], &[1; 2]).len(), 1);
    }

    #[test]
    fn images_in_two_parts_are_counted() {
        let train = dataset(&[(0, 1, 1), (0, 2, 2), (1, 3, 3), (1, 4, 4), (0, 1, 1)].repeat(3), 2);
        let valid = dataset(&[(0, 5, 5), (1, 3, 3)], 2);
        let test = dataset(&[(0, 1, 1), (1, 5, 5), (1, 7, 7)], 2);
        assert_eq!(
            splits(train.clone(), valid, test.clone()).warnings(),
            [
                "2 of 3 test images are also training or validation images: test accuracy is too optimistic",
                "1 of 2 validation images are also training images: validation accuracy is too optimistic",
            ]
        );
        let alike = dataset(&[(0, 1, 1), (1, 1, 1)].repeat(5), 2);
        assert_eq!(
            splits(alike.clone(), alike, test).warnings(),
            ["all 10 training images are the same, so there is nothing to learn from them"]
        );
    }

    #[test]
    fn what_was_found_when_the_data_was_divided_is_not_looked_for_again() {
        let alike = dataset(&[(0, 1, 1), (1, 2, 2)].repeat(5), 2);
        let mut splits = splits(alike.clone(), alike.clone(), alike);
        assert_eq!(splits.warnings().len(), 2);
        splits.leaks = Some(vec!["a leak".to_owned()]);
        assert_eq!(splits.warnings(), ["a leak"]);
    }
}
