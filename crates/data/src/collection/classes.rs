//! One list of classes, from training images.

use std::path::Path;

use super::{MAX_NAME_BYTES, Names, Order, Part, Role, listed};
use crate::words::counted;
use crate::{DataError, MAX_CLASSES, natural};

/// Classes in their order, and the class of each number of a name.
#[derive(Default)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    class_of: Vec<Option<u16>>,
    /// Whether they are those of a network, rather than of training images.
    known: bool,
}

impl Classes {
    /// The classes of a network.
    pub(super) fn known(classes: &[String], names: &Names) -> Classes {
        let class_of = names.list.iter().map(|name| classes.iter().position(|class| class == name).map(|n| n as u16));
        Classes { names: classes.to_vec(), class_of: class_of.collect(), known: true }
    }

    /// The classes that training has: whatever is missing elsewhere, none of them moves.
    pub(super) fn of_training(parts: &[Part], names: &Names, by: Order, path: &Path) -> Result<Classes, DataError> {
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
                n => format!("holds training images of {n} classes ({} …)", listed(&classes)),
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

    pub(super) fn labels(&self, part: &Part, names: &Names, path: &Path) -> Result<Vec<u16>, DataError> {
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
