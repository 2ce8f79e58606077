//! QMNIST's labels: eight numbers for each digit, of which the first is its class and the third its writer.

use crate::collection::Found;
use crate::idx::{Idx, IdxValues};

/// Numbers for each digit.
const COLUMNS: usize = 8;
const CLASS: usize = 0;
const WRITER: usize = 2;

/// Leaves of QMNIST's labels the classes, and gives the group of each image, its writer; of other labels nothing.
pub(super) fn writers(file: &mut Idx, found: &mut Found) -> Vec<u32> {
    let (&[n, COLUMNS], IdxValues::I32(values)) = (&file.dims[..], &file.values) else { return Vec::new() };
    let column = |column: usize| values.iter().skip(column).step_by(COLUMNS);
    let groups = column(WRITER).map(|writer| found.groups.number(&writer.to_string())).collect();
    let classes = column(CLASS).copied().collect();
    let note = "labels are QMNIST's, of eight numbers each: the first is the class, the third the writer, whose images \
                stay together";
    if !found.notes.iter().any(|known| known == note) {
        found.notes.push(note.to_owned());
    }
    (file.dims, file.values) = (vec![n], IdxValues::I32(classes));
    groups
}
