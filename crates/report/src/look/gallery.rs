//! The test images that networks get wrong, by pair of label and what it is taken for; and labels that are likely wrong.

use crate::feature_maps::Image;

/// The gallery.
#[derive(Clone, PartialEq, Debug)]
pub struct Gallery {
    /// The study's title.
    pub title: String,
    /// What was asked: `6 recipes, 30 trainings`.
    pub subtitle: String,
    /// Labels that are likely wrong.
    pub suspects: Vec<Entry>,
    /// By pair of label and what it is taken for, with how many there are in all.
    pub pairs: Vec<Pair>,
}

/// A pair of classes.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    /// What they are labelled.
    pub label: String,
    /// What they are taken for.
    pub taken_for: String,
    /// Images in all.
    pub count: usize,
    /// Those that are shown, the worst first.
    pub entries: Vec<Entry>,
}

/// One image.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its number among the test images.
    pub number: usize,
    /// Its pixels.
    pub image: Image,
    /// What it is labelled.
    pub label: String,
    /// What it is taken for.
    pub taken_for: String,
    /// Trainings that are wrong, of how many.
    pub wrong: (usize, usize),
    /// For each recipe, its name and its two best guesses with their probabilities.
    pub guesses: Vec<(String, [(String, f64); 2])>,
}
