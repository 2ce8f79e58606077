//! What is said of images and groups on two sides of a split, of copies, of labels that contradict each other, and of
//! classes that a part lacks.

use std::collections::HashSet;

use crate::words::{are, counted, listed};
use crate::{Alike, Examples, ImageShape};

/// Sentences on what is on two sides: images, and groups. `ids` are the numbers of each part's images in `found`.
pub(super) fn leaks(ids: &[Vec<u32>; 3], [train, valid, test]: [&Examples; 3], found: &Alike) -> Vec<String> {
    let mut sentences = Vec::new();
    for (part, others, ids, seen) in [
        ("test", "training or validation", &ids[2], [&ids[0][..], &ids[1]]),
        ("validation", "training", &ids[1], [&ids[0], &[]]),
    ] {
        let count = |firsts: &[u32]| {
            let seen: HashSet<u32> = seen.iter().flat_map(|ids| ids.iter().map(|&n| firsts[n as usize])).collect();
            ids.iter().filter(|&&n| seen.contains(&firsts[n as usize])).count()
        };
        let all = count(&found.turned);
        if all > 0 {
            let (identical, nearly) = (count(&found.identical), count(&found.nearly));
            let turned = match all - nearly {
                0 => String::new(),
                n => format!(", {n} turned or mirrored"),
            };
            sentences.push(format!(
                "{all} of {} {part} images {} among the {others} images too ({identical} identical, {} nearly{turned}): {part} \
                 accuracy is too optimistic",
                ids.len(),
                are(all),
                nearly - identical
            ));
        }
    }
    for (part, others, examples, seen) in [
        ("test", "training or validation has", test, [train, valid]),
        ("validation", "training has", valid, [train, &Examples::default()]),
    ] {
        let seen: HashSet<u32> = seen.iter().flat_map(|part| part.groups.iter().copied()).collect();
        let shared: HashSet<u32> = examples.groups.iter().copied().filter(|group| seen.contains(group)).collect();
        if !shared.is_empty() {
            let n = examples.groups.iter().filter(|group| shared.contains(group)).count();
            let [one, more] = ["image is", "images are"].map(|words| format!("{part} {words}"));
            sentences.push(format!(
                "{} of {}, which {others} too: {part} accuracy is too optimistic for new groups",
                counted(n, &one, &more),
                counted(shared.len(), "group", "groups")
            ));
        }
    }
    sentences
}

/// Sentences on classes without an image to choose by, or to measure with, in validation and test images; `made` says
/// which of the two are ours.
pub(super) fn without(parts: [&Examples; 2], made: [bool; 2], classes: &[String]) -> Vec<String> {
    const NAMED: usize = 5;
    let sentence = |(part, (examples, made)): (&str, (&Examples, bool))| {
        let there: HashSet<u16> = examples.labels.iter().copied().collect();
        let missing: Vec<String> =
            (0_u16..).zip(classes).filter(|(class, _)| !there.contains(class)).map(|(_, name)| name.clone()).collect();
        let (of, its) = if missing.len() == 1 { ("class", "its") } else { ("classes", "their") };
        let remedy = match made {
            true if examples.groups.is_empty() => {
                format!("; more images of {its} own, or another {part}_share, may help")
            }
            true => format!("; more groups with {its} images, another way to group, or another {part}_share may help"),
            false => String::new(),
        };
        let part = if part == "valid" { "validation" } else { part };
        let names = listed(&missing, NAMED);
        (!missing.is_empty())
            .then(|| format!("no {part} image of {of} {names}: {its} recall there is not known{remedy}"))
    };
    ["valid", "test"].into_iter().zip(parts.into_iter().zip(made)).filter_map(sentence).collect()
}

/// Sentences on images that are there more than once, and on those that are so turned or mirrored.
pub(super) fn repeated(found: &Alike) -> Vec<String> {
    let count = |firsts: &[u32]| firsts.iter().enumerate().filter(|&(n, &first)| first as usize != n).count();
    let (identical, nearly) = (count(&found.identical), count(&found.nearly));
    let turned = count(&found.turned) - nearly;
    let copies = (nearly > 0).then(|| {
        let copies = counted(nearly, "image is a copy", "images are copies");
        format!("{copies} of another ({identical} identical, {} nearly)", nearly - identical)
    });
    // Also where none was found.
    let rest = (!found.whole)
        .then(|| "so many images look alike that not every pair was compared: there may be more copies".to_owned());
    let words = ["image is a turned or mirrored copy of another", "images are turned or mirrored copies of others"];
    let sentences = copies.into_iter().chain((turned > 0).then(|| counted(turned, words[0], words[1]))).chain(rest);
    let mut sentences: Vec<String> = sentences.collect();
    if let Some(last) = sentences.last_mut().filter(|_| found.turned != found.identical || !found.whole) {
        last.push_str(
            "; if pictures of one scene are no copies here, copies = \"identical\" counts identical images alone",
        );
    }
    sentences
}

/// Sentences on images that are alike and of different classes: identical ones, and nearly identical ones. (A turned 6
/// may well be a 9.)
pub(super) fn conflicts(parts: [&Examples; 3], found: &Alike, shape: ImageShape) -> Vec<String> {
    let labels: Vec<Option<u16>> =
        parts.iter().flat_map(|part| (0..part.len(shape.len())).map(|n| part.labels.get(n).copied())).collect();
    let differs =
        |n: usize, first: u32| labels[n].is_some() && labels[first as usize].is_some_and(|l| labels[n] != Some(l));
    let identical = |n: usize| differs(n, found.identical[n]);
    let numbers = 0..labels.len();
    let (same, nearly) = (
        numbers.clone().filter(|&n| identical(n)).count(),
        numbers.filter(|&n| !identical(n) && differs(n, found.nearly[n])).count(),
    );
    let sentence = |n: usize, how: &str, so: &str| {
        (n > 0).then(|| format!("{} {how} to one of another class: {so}", counted(n, "image is", "images are")))
    };
    [
        sentence(same, "identical", "one of the labels is wrong"),
        sentence(nearly, "nearly identical", "one of the labels may be wrong"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
