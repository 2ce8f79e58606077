//! Sections of pairs of images that are alike, side by side.

use maud::{Markup, html};

use super::page::tile;
use super::{Pair, Pairs, cut};
use crate::format::count;
use crate::html::sprite::Sprite;

/// The class of the style that all images of pairs share.
pub(super) const IMAGE: &str = "pair";

/// What a section says of its pairs.
pub(super) struct Words {
    /// What it is about.
    about: &'static str,
    /// One such image, and more of them, before what they are.
    one: &'static str,
    more: &'static str,
    /// What they are.
    what: &'static str,
    /// Where there is none.
    none: &'static str,
}

pub(super) const ACROSS: Words = Words {
    about: "What a network has seen in training it need not recognise: an accuracy measured on images that are in another \
            part too is too high. Each is shown beside the most similar one of a part before it, of training, validation and test.",
    one: "validation or test image is",
    more: "validation or test images are",
    what: "like one of a part before it",
    none: "No image of one part is like one of another.",
};

pub(super) const TWO_CLASSES: Words = Words {
    about: "Of identical images with different labels, one label at least is wrong; of nearly identical ones it may be.",
    one: "image is",
    more: "images are",
    what: "like one of another class",
    none: "No image is like one of another class.",
};

/// `first` is the number, in the picture, of the first image of these pairs divided by two.
pub(super) fn section(pairs: &Pairs, sprite: &Sprite, first: usize, words: &Words) -> Markup {
    let all = pairs.all();
    html! {
        @if all == 0 { p { (words.none) } } @else {
            p { (words.about) }
            p {
                (count(all)) " " (if all == 1 { words.one } else { words.more }) " " (words.what) ": "
                (count(pairs.identical)) " identical, " (count(pairs.nearly)) " nearly so"
                @if pairs.turned > 0 { ", " (count(pairs.turned)) " turned or mirrored" }
                @if (pairs.shown.len() as u64) < all { "; " (count(pairs.shown.len() as u64)) " shown" } "."
            }
            ul.entries {
                @for (n, pair) in pairs.shown.iter().enumerate() { (of_pair(pair, sprite, 2 * (first + n))) }
            }
        }
    }
}

fn of_pair(pair: &Pair, sprite: &Sprite, number: usize) -> Markup {
    html! {
        li.entry {
            p { b { (pair.likeness) } }
            div.tiles {
                @for (n, side) in pair.sides.iter().enumerate() {
                    div.side {
                        (tile(sprite, IMAGE, number + n, &side.example, &side.class))
                        p { b { bdi { (cut(&side.class)) } } br; (side.part) br; bdi { (cut(&side.example.name)) } }
                    }
                }
            }
        }
    }
}
