//! The test images that networks get wrong, and the labels that are likely wrong.

/// What one recipe says of one image.
#[derive(Clone, PartialEq, Debug)]
pub struct Guesses {
    /// The recipe.
    pub recipe: String,
    /// The two most probable classes with their mean probability over seeds.
    pub best: [(u8, f64); 2],
    /// Seeds whose first guess is wrong, of how many.
    pub wrong: (usize, usize),
}

/// An image that somebody got wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Mistaken {
    /// Its number among the test images.
    pub image: usize,
    /// What it is labelled.
    pub label: u8,
    /// The class that it is taken for by most trainings that are wrong.
    pub taken_for: u8,
    /// Trainings of any recipe that are wrong, of how many.
    pub wrong: (usize, usize),
    /// What each recipe says.
    pub guesses: Vec<Guesses>,
}

/// A label that is likely wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Suspect {
    /// The image's number among the test images.
    pub image: usize,
    /// What it is labelled.
    pub label: u8,
    /// What the networks say.
    pub says: u8,
    /// Trainings that say so, of how many.
    pub votes: (usize, usize),
    /// The mean probability that all trainings give the label.
    pub label_probability: f64,
    /// What each recipe says.
    pub guesses: Vec<Guesses>,
}

/// What there is to show of mistakes.
#[derive(Clone, PartialEq, Debug)]
pub struct Gallery {
    /// By pair of label and what it is taken for, the pairs with the most mistakes first; within a pair the worst first.
    pub pairs: Vec<Vec<Mistaken>>,
    /// Labels that are likely wrong, the likeliest first.
    pub suspects: Vec<Suspect>,
}

/// One finished training and its probabilities, `[N, classes]`.
pub type Said<'a> = (&'a str, &'a [f32]);

/// What there is to show of the mistakes of several trainings.
pub fn gallery(said: &[Said], labels: &[u8], classes: usize) -> Gallery {
    let _ = (said, labels, classes);
    unimplemented!()
}
