//! Images of a part, and their order.

use sha2::{Digest, Sha256};

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

impl Examples {
    /// How many there are, of a shape of `image_len` pixels.
    pub fn len(&self, image_len: usize) -> usize {
        self.pixels.len() / image_len.max(1)
    }

    pub(super) fn append(&mut self, mut other: Examples) {
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

    /// Their numbers by their pixels; of those that are the same by label, group (by its name in `groups`) and path.
    pub(super) fn by_contents(&self, image_len: usize, groups: &[String]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len(image_len) as u32).collect();
        let key = |n: u32| {
            let n = n as usize;
            let image = &self.pixels[n * image_len..(n + 1) * image_len];
            (image, self.labels.get(n), self.groups.get(n).map(|&group| groups.get(group as usize)), self.paths.get(n))
        };
        order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
        order
    }

    /// Orders the examples by their contents, so that a training does not depend on how files are called and in which of
    /// them the images are; gives the number that each had.
    pub(crate) fn sort_by_contents(&mut self, image_len: usize, groups: &[String]) -> Vec<u32> {
        let order = self.by_contents(image_len, groups);
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

#[cfg(test)]
mod tests {
    use super::{Examples, reorder};

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
        examples.sort_by_contents(2, &[]);
        assert_eq!(examples.pixels, [1, 0, 1, 1, 9, 0, 9, 0]);
        assert_eq!((examples.labels, examples.groups), (vec![1, 0, 0, 1], vec![0, 2, 1, 3]));
        assert_eq!(examples.paths, ["a", "c", "b", "d"]);
        assert_eq!(examples.keys, [6, 8, 9, 7]);
    }

    #[test]
    fn of_the_same_image_twice_the_names_of_groups_decide_not_their_numbers() {
        let of = |groups: [u32; 2]| Examples {
            pixels: vec![5; 4],
            labels: vec![1; 2],
            groups: groups.to_vec(),
            ..Examples::default()
        };
        let names = |names: [&str; 2]| names.map(str::to_owned);
        assert_eq!(of([0, 1]).by_contents(2, &names(["p2", "p1"])), [1, 0]);
        assert_eq!(of([1, 0]).by_contents(2, &names(["p1", "p2"])), [1, 0]);
    }
}
