//! The test images that networks get wrong, and the suspect labels.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What one recipe says of one image.
#[derive(Clone, PartialEq, Debug)]
pub struct Guesses {
    /// The recipe.
    pub recipe: String,
    /// The two most probable classes with their mean probability over seeds.
    pub best: [(u16, f64); 2],
    /// Seeds whose first guess is wrong, of how many.
    pub wrong: (usize, usize),
}

/// An image that somebody got wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Mistaken {
    /// Its number among the test images.
    pub image: usize,
    /// What it is labelled.
    pub label: u16,
    /// The class that it is taken for by most trainings that are wrong.
    pub taken_for: u16,
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
    pub label: u16,
    /// What the networks say.
    pub says: u16,
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
    /// By pair of label and what it is taken for, the pairs with the most mistakes first; within a pair the worst
    /// first.
    pub pairs: Vec<Vec<Mistaken>>,
    /// Suspect labels, the likeliest first.
    pub suspects: Vec<Suspect>,
}

/// One finished training, by its recipe's name, and its probabilities, `[N, classes]`.
pub type Said<'a> = (&'a str, &'a [f32]);

/// What there is to show of the mistakes of several trainings.
///
/// Trainings of one name are the seeds of one recipe. A training's first guess is its most probable class, the first of
/// equals; what is not a number counts as probability zero.
///
/// **Mistakes.** An image is shown if at least half of the trainings of some recipe get it wrong: what one seed of many
/// stumbles over says more of that seed than of the image.
///
/// **Suspects.** A label is likely wrong if a jury says the same other class with one voice and leaves the label no
/// chance:
///
/// * the jury is all trainings of the more accurate half of the recipes (of three, two; with them all that are as
///   accurate as the last): a weak network says little of a label, whether it agrees or not;
/// * the first guess of each of them is the same class, and it is not the label. Networks that differ in their first
///   weights, in the order of images and in architecture seldom share a mistake that the image does not suggest;
/// * the mean probability that they give the label is less than a blind guess would, `1 / classes`. That matters the
///   more the fewer they are: with one training it is all that parts a suspect from any other mistake. Of two classes
///   it asks for nothing.
///
/// No constant is to be chosen, and more seeds make the jury stricter. The likeliest come first: those that most of all
/// trainings agree on, then those whose label gets least.
///
/// Networks also share habits, so a suspect is for a person to look at, never a correction: on MNIST's test images,
/// where fifteen labels are known to be wrong, four of ten suspects of 14 trainings are among these, and two of the
/// others are sevens with a bar.
///
/// # Panics
/// If there are not `classes` probabilities for each label, or a label is no class.
pub fn gallery(said: &[Said], labels: &[u16], classes: usize) -> Gallery {
    assert!(labels.iter().all(|&label| usize::from(label) < classes), "labels are classes");
    for (_, probabilities) in said {
        assert_eq!(
            Some(probabilities.len()),
            labels.len().checked_mul(classes),
            "a probability for each class of each image"
        );
    }
    let recipes = by_recipe(said, labels, classes);
    Gallery { pairs: pairs(&recipes, labels, classes), suspects: suspects(&recipes, labels, classes) }
}

/// What one training says.
struct Training<'a> {
    /// `[N, classes]`.
    probabilities: &'a [f32],
    /// The most probable class of each image.
    first: Vec<u16>,
}

/// What the seeds of a recipe say.
struct Recipe<'a> {
    name: &'a str,
    trainings: Vec<Training<'a>>,
    /// First guesses that are right, of all seeds.
    right: usize,
}

/// The recipes in the order of their first training.
fn by_recipe<'a>(said: &[Said<'a>], labels: &[u16], classes: usize) -> Vec<Recipe<'a>> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for &(name, probabilities) in said {
        let first = |image| largest(&mean(&[probabilities], image, classes)) as u16;
        let first: Vec<u16> = (0..labels.len()).map(first).collect();
        let right = first.iter().zip(labels).filter(|(first, label)| first == label).count();
        let training = Training { probabilities, first };
        match recipes.iter_mut().find(|recipe| recipe.name == name) {
            Some(recipe) => {
                recipe.trainings.push(training);
                recipe.right += right;
            }
            None => recipes.push(Recipe { name, trainings: vec![training], right }),
        }
    }
    recipes
}

/// The mean probability of each class of an image.
fn mean(of: &[&[f32]], image: usize, classes: usize) -> Vec<f64> {
    let mut mean = vec![0.0; classes];
    for probabilities in of {
        for (mean, &p) in mean.iter_mut().zip(&probabilities[image * classes..][..classes]) {
            *mean += if p.is_nan() { 0.0 } else { f64::from(p) };
        }
    }
    mean.iter_mut().for_each(|mean| *mean /= of.len() as f64);
    mean
}

/// The place of the largest number, the first of equals.
fn largest<T: PartialOrd>(numbers: &[T]) -> usize {
    (1..numbers.len()).fold(0, |best, n| if numbers[n] > numbers[best] { n } else { best })
}

impl Recipe<'_> {
    fn wrong(&self, image: usize, label: u16) -> usize {
        self.trainings.iter().filter(|training| training.first[image] != label).count()
    }

    fn guesses(&self, image: usize, label: u16, classes: usize) -> Guesses {
        let trainings: Vec<&[f32]> = self.trainings.iter().map(|training| training.probabilities).collect();
        let mut mean = mean(&trainings, image, classes);
        let best = [(); 2].map(|()| {
            let class = largest(&mean);
            // Taken out, so that the next largest is another class.
            (class as u16, std::mem::replace(&mut mean[class], f64::NEG_INFINITY))
        });
        Guesses { recipe: self.name.to_owned(), best, wrong: (self.wrong(image, label), self.trainings.len()) }
    }
}

/// All trainings of these recipes.
fn trainings<'r, 'a>(recipes: impl IntoIterator<Item = &'r Recipe<'a>>) -> Vec<&'r Training<'a>>
where
    'a: 'r,
{
    recipes.into_iter().flat_map(|recipe| &recipe.trainings).collect()
}

fn pairs(recipes: &[Recipe], labels: &[u16], classes: usize) -> Vec<Vec<Mistaken>> {
    let all = trainings(recipes);
    let probabilities: Vec<&[f32]> = all.iter().map(|training| training.probabilities).collect();
    // With the mean probability of the label, which only the order needs.
    let mut pairs: BTreeMap<(u16, u16), Vec<(Mistaken, f64)>> = BTreeMap::new();
    for (image, &label) in labels.iter().enumerate() {
        if !recipes.iter().any(|recipe| 2 * recipe.wrong(image, label) >= recipe.trainings.len()) {
            continue;
        }
        let mut taken = vec![0; classes];
        for training in all.iter().filter(|training| training.first[image] != label) {
            taken[usize::from(training.first[image])] += 1;
        }
        let taken_for = largest(&taken) as u16;
        let guesses = recipes.iter().map(|recipe| recipe.guesses(image, label, classes)).collect();
        let mistaken = Mistaken { image, label, taken_for, wrong: (taken.iter().sum(), all.len()), guesses };
        let label_probability = mean(&probabilities, image, classes)[usize::from(label)];
        pairs.entry((label, taken_for)).or_default().push((mistaken, label_probability));
    }
    let mut pairs: Vec<Vec<(Mistaken, f64)>> = pairs.into_values().collect();
    // Both sorts keep the order of equals: of label and class, and of image.
    pairs.sort_by_key(|pair| Reverse(pair.len()));
    for pair in &mut pairs {
        pair.sort_by(|(a, a_label), (b, b_label)| b.wrong.cmp(&a.wrong).then(a_label.total_cmp(b_label)));
    }
    pairs.into_iter().map(|pair| pair.into_iter().map(|(mistaken, _)| mistaken).collect()).collect()
}

fn suspects(recipes: &[Recipe], labels: &[u16], classes: usize) -> Vec<Suspect> {
    let jury = jury(recipes);
    if jury.is_empty() {
        return Vec::new();
    }
    let heard: Vec<&[f32]> = jury.iter().map(|training| training.probabilities).collect();
    let all = trainings(recipes);
    let probabilities: Vec<&[f32]> = all.iter().map(|training| training.probabilities).collect();

    let mut suspects = Vec::new();
    for (image, &label) in labels.iter().enumerate() {
        let says = jury[0].first[image];
        if says == label || jury.iter().any(|training| training.first[image] != says) {
            continue;
        }
        // Confident learning asks that they be as sure of the class as they are of images labelled with it. Good
        // networks are surer than 0.97 of those, and hardly a suspect was left: two of MNIST's.
        if mean(&heard, image, classes)[usize::from(label)] >= 1.0 / classes as f64 {
            continue;
        }
        suspects.push(Suspect {
            image,
            label,
            says,
            votes: (all.iter().filter(|training| training.first[image] == says).count(), all.len()),
            label_probability: mean(&probabilities, image, classes)[usize::from(label)],
            guesses: recipes.iter().map(|recipe| recipe.guesses(image, label, classes)).collect(),
        });
    }
    suspects.sort_by(|a, b| b.votes.cmp(&a.votes).then(a.label_probability.total_cmp(&b.label_probability)));
    suspects
}

/// The trainings of the more accurate half of the recipes.
fn jury<'r, 'a>(recipes: &'r [Recipe<'a>]) -> Vec<&'r Training<'a>> {
    let right = |recipe: &Recipe| recipe.right as f64 / recipe.trainings.len() as f64;
    let mut accurate: Vec<f64> = recipes.iter().map(right).collect();
    accurate.sort_by(|a, b| b.total_cmp(a));
    let Some(&last) = recipes.len().div_ceil(2).checked_sub(1).and_then(|last| accurate.get(last)) else {
        return Vec::new();
    };
    trainings(recipes.iter().filter(|recipe| right(recipe) >= last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities of three classes: `sure` of the class, the rest shared by the others.
    fn say(images: &[(usize, f32)]) -> Vec<f32> {
        let row =
            |&(class, sure): &(usize, f32)| (0..3).map(move |c| if c == class { sure } else { (1.0 - sure) / 2.0 });
        images.iter().flat_map(row).collect()
    }

    /// As [`say`], each with 0.9.
    fn say_classes(classes: &[usize]) -> Vec<f32> {
        say(&classes.iter().map(|&class| (class, 0.9)).collect::<Vec<_>>())
    }

    fn images(pairs: &[Vec<Mistaken>]) -> Vec<Vec<usize>> {
        pairs.iter().map(|pair| pair.iter().map(|mistaken| mistaken.image).collect()).collect()
    }

    fn suspected(gallery: &Gallery) -> Vec<usize> {
        gallery.suspects.iter().map(|suspect| suspect.image).collect()
    }

    #[test]
    fn an_image_is_shown_if_half_the_seeds_of_one_recipe_are_wrong() {
        let labels = [0, 0, 0];
        let one = |classes: [usize; 3]| say_classes(&classes);
        // Image 0: one of two seeds of `a`. Image 1: one of three seeds of `b`. Image 2: two of three seeds of `b`.
        let a = [one([1, 0, 0]), one([0, 0, 0])];
        let b = [one([0, 1, 2]), one([0, 0, 2]), one([0, 0, 0])];
        let said: Vec<Said> = a.iter().map(|p| ("a", &p[..])).chain(b.iter().map(|p| ("b", &p[..]))).collect();
        let gallery = gallery(&said, &labels, 3);
        assert_eq!(images(&gallery.pairs), [[0], [2]]);
        assert_eq!((gallery.pairs[0][0].wrong, gallery.pairs[1][0].wrong), ((1, 5), (2, 5)));
        assert_eq!(gallery.pairs[1][0].guesses[1].wrong, (2, 3));
    }

    #[test]
    fn taken_for_what_most_wrong_trainings_say_the_first_of_equals() {
        let labels = [0, 0];
        let said = [say_classes(&[1, 2]), say_classes(&[2, 1]), say_classes(&[2, 0])];
        let said: Vec<Said> = said.iter().map(|p| ("a", &p[..])).collect();
        let gallery = gallery(&said, &labels, 3);
        let taken: Vec<(usize, u16)> = gallery.pairs.iter().flatten().map(|m| (m.image, m.taken_for)).collect();
        assert_eq!(taken, [(1, 1), (0, 2)]);
    }

    #[test]
    fn guesses_are_means_over_the_seeds_of_recipes_in_the_order_of_first_appearance() {
        // Each number is a sum of powers of two, so that means are exact.
        let (late, early) = (vec![0.25, 0.5, 0.25], vec![0.5, 0.25, 0.25]);
        let later = vec![0.125, 0.625, 0.25];
        let said: [Said; 3] = [("z", &late), ("a", &early), ("z", &later)];
        let gallery = gallery(&said, &[0], 3);
        let guesses = &gallery.pairs[0][0].guesses;
        let z = Guesses { recipe: "z".to_owned(), best: [(1, 0.5625), (2, 0.25)], wrong: (2, 2) };
        // Of equals the first.
        let a = Guesses { recipe: "a".to_owned(), best: [(0, 0.5), (1, 0.25)], wrong: (0, 1) };
        assert_eq!(*guesses, [z, a]);
    }

    #[test]
    fn pairs_with_most_mistakes_come_first_then_by_label_and_by_class() {
        let labels = [2, 1, 1, 0, 1, 0];
        let said = say_classes(&[0, 2, 0, 1, 0, 2]);
        let gallery = gallery(&[("a", &said)], &labels, 3);
        let order: Vec<(u16, u16)> = gallery.pairs.iter().map(|pair| (pair[0].label, pair[0].taken_for)).collect();
        assert_eq!(order, [(1, 0), (0, 1), (0, 2), (1, 2), (2, 0)]);
    }

    #[test]
    fn within_a_pair_the_worst_come_first() {
        let labels = [0; 5];
        // Images 1 and 4 are wrong in both trainings, 4 with less for the label; 0, 2 and 3 in one, 2 with least.
        let a = say(&[(0, 0.9), (1, 0.6), (0, 0.6), (0, 0.9), (1, 0.8)]);
        let b = say(&[(1, 0.9), (1, 0.6), (1, 0.9), (1, 0.9), (1, 0.8)]);
        let gallery = gallery(&[("a", &a), ("b", &b)], &labels, 3);
        assert_eq!(images(&gallery.pairs), [[4, 1, 2, 0, 3]]);
    }

    /// Six images of which `c` gets two wrong, then one labelled 0 of which `a`, `b` and `c` say these classes this
    /// surely.
    fn about_the_last(a: (usize, f32), b: (usize, f32), c: (usize, f32)) -> Gallery {
        let labels = [0, 0, 1, 1, 2, 2, 0];
        let right = [(0, 0.9), (0, 0.9), (1, 0.9), (1, 0.9), (2, 0.9), (2, 0.9)];
        let weak = [&[(1, 0.4); 2], &right[2..]].concat();
        let with = |images: &[(usize, f32)], last| say(&[images, &[last]].concat());
        let (a, b, c) = (with(&right, a), with(&right, b), with(&weak, c));
        gallery(&[("a", &a), ("b", &b), ("c", &c)], &labels, 3)
    }

    #[test]
    fn a_label_is_suspected_when_the_jury_gives_it_no_chance() {
        let gallery = about_the_last((1, 0.75), (1, 0.75), (1, 0.5));
        let [suspect] = &gallery.suspects[..] else { panic!("one label is suspected: {:?}", gallery.suspects) };
        assert_eq!((suspect.image, suspect.label, suspect.says, suspect.votes), (6, 0, 1, (3, 3)));
        assert_eq!(suspect.label_probability, 0.5 / 3.0);
        let guess = |recipe: &str, sure: f64, next| Guesses {
            recipe: recipe.to_owned(),
            best: [(1, sure), (0, next)],
            wrong: (1, 1),
        };
        assert_eq!(suspect.guesses, [guess("a", 0.75, 0.125), guess("b", 0.75, 0.125), guess("c", 0.5, 0.25)]);
    }

    #[test]
    fn a_weak_recipe_has_no_veto() {
        let gallery = about_the_last((1, 0.75), (1, 0.75), (0, 0.9));
        assert_eq!(suspected(&gallery), [6]);
        assert_eq!(gallery.suspects[0].votes, (2, 3));
    }

    #[test]
    fn the_jury_must_be_of_one_voice() {
        assert_eq!(suspected(&about_the_last((1, 0.99), (2, 0.99), (1, 0.99))), [0; 0]);
        assert_eq!(suspected(&about_the_last((1, 0.99), (0, 0.4), (1, 0.99))), [0; 0]);
    }

    #[test]
    fn a_label_with_a_chance_is_not_suspected() {
        // The label gets 0.46 from `b`, and from `a` so much that the mean is above or below a third.
        let labels = [0, 1];
        let b = [0.46, 0.54, 0.0, 0.0, 1.0, 0.0];
        let with = |p: f32| {
            let a = [p, 1.0 - p, 0.0, 0.0, 1.0, 0.0];
            suspected(&gallery(&[("a", &a), ("b", &b)], &labels, 3))
        };
        assert_eq!(with(0.19), [0]);
        assert_eq!(with(0.22), [0; 0]);
    }

    #[test]
    fn all_that_are_as_accurate_as_the_last_of_the_jury_belong_to_it() {
        let labels = [0, 1];
        let (says_1, says_0) = (say_classes(&[1, 1]), say_classes(&[0, 0]));
        let said: [Said; 2] = [("a", &says_1), ("b", &says_0)];
        assert_eq!(suspected(&gallery(&said, &labels, 3)), [0; 0]);
        // Alone, each would suspect the label that it gets wrong.
        assert_eq!(suspected(&gallery(&said[..1], &labels, 3)), [0]);
        assert_eq!(suspected(&gallery(&said[1..], &labels, 3)), [1]);
    }

    #[test]
    fn every_seed_of_the_jury_has_a_voice() {
        let labels = [0, 1];
        let (wrong, right) = (say_classes(&[1, 1]), say_classes(&[0, 1]));
        assert_eq!(suspected(&gallery(&[("a", &wrong), ("a", &wrong)], &labels, 3)), [0]);
        assert_eq!(suspected(&gallery(&[("a", &wrong), ("a", &right)], &labels, 3)), [0; 0]);
    }

    #[test]
    fn a_recipe_is_as_accurate_as_its_seeds_on_average() {
        let labels = [0, 1, 2, 0, 1];
        let (two_wrong, one_wrong) = (say_classes(&[0, 2, 1, 0, 1]), say_classes(&[1, 1, 2, 0, 1]));
        let said: [Said; 3] = [("a", &two_wrong), ("a", &two_wrong), ("b", &one_wrong)];
        assert_eq!(suspected(&gallery(&said, &labels, 3)), [0]);
    }

    #[test]
    fn the_likeliest_wrong_label_comes_first() {
        let labels = [1, 1, 0, 0, 0, 0, 2, 2, 2, 2];
        // Of images 2 to 5, labelled 0, the weak recipe agrees on the last two, though it gives the label more of them
        // than of the others; of each two the label gets less in the later.
        let strong = [(1, 0.5), (1, 0.5), (1, 0.6), (1, 0.7), (1, 0.6), (1, 0.7)];
        let weak = [(0, 0.9), (0, 0.9), (2, 0.9), (2, 0.9), (1, 0.4), (1, 0.4)];
        let then = |images: &[(usize, f32)], class| say(&[images, &[(class, 0.9); 4]].concat());
        let (strong, weak) = (then(&strong, 2), then(&weak, 1));
        assert_eq!(suspected(&gallery(&[("s", &strong), ("w", &weak)], &labels, 3)), [5, 4, 3, 2]);
    }

    #[test]
    fn two_classes_are_enough() {
        let said = [0.25, 0.75, 0.25, 0.75];
        let gallery = gallery(&[("a", &said)], &[0, 1], 2);
        assert_eq!(suspected(&gallery), [0]);
        assert_eq!(gallery.suspects[0].guesses[0].best, [(1, 0.75), (0, 0.25)]);
    }

    #[test]
    fn what_is_not_a_number_counts_as_nothing() {
        let said = [f32::NAN, 0.25, f32::NAN, f32::NAN, f32::NAN, f32::NAN];
        let gallery = gallery(&[("a", &said)], &[0, 2], 3);
        let best: Vec<_> = gallery.pairs.iter().flatten().map(|m| m.guesses[0].best).collect();
        assert_eq!(best, [[(1, 0.25), (0, 0.0)], [(0, 0.0), (1, 0.0)]]);
    }

    #[test]
    fn of_nothing_there_is_nothing_to_show() {
        let nothing = Gallery { pairs: Vec::new(), suspects: Vec::new() };
        assert_eq!(gallery(&[], &[], 0), nothing);
        assert_eq!(gallery(&[], &[0, 1], 2), nothing);
        assert_eq!(gallery(&[("a", &[])], &[], 10), nothing);
        // One class cannot be mistaken.
        assert_eq!(gallery(&[("a", &[1.0])], &[0], 1), nothing);
    }

    #[test]
    #[should_panic(expected = "a probability for each class of each image")]
    fn a_probability_that_is_missing_panics() {
        gallery(&[("a", &[0.5, 0.5, 1.0])], &[0, 1], 2);
    }

    #[test]
    #[should_panic(expected = "labels are classes")]
    fn a_label_that_is_no_class_panics() {
        gallery(&[("a", &[0.5, 0.5])], &[2], 2);
    }

    /// The labels of MNIST's test images that are known to be wrong: image, label, and of five people who were asked
    /// how many chose the label, the class that a program had put forward, and neither. These are all of which fewer
    /// than three chose the label, among the hundred that were put before people by Northcutt, Athalye and Mueller,
    /// "Pervasive label errors in test sets destabilize machine learning benchmarks", 2021 (labelerrors.com):
    /// <https://github.com/cleanlab/label-errors/blob/5457895eee26e49187de5c4d6617b9de6f172221/mturk/mnist_mturk.json>.
    ///
    /// Of the 28 trainings that finished in a run of the study `digits`, which stops early, 14 are the jury: both
    /// recipes with dropout and `cnn2`. It suspects 1226, 1901, 2654, 2896, 3520, 3808, 4176, 4497, 9009 and 9729: four
    /// of these fifteen. From the first seed of each recipe alone it suspects 18, five of these.
    const KNOWN: [(usize, u16, [u16; 3]); 15] = [
        (947, 8, [0, 5, 0]),
        (1621, 0, [2, 3, 0]),
        (1901, 9, [2, 3, 0]),
        (2130, 4, [2, 2, 1]),
        (2462, 2, [0, 4, 1]),
        (2597, 5, [0, 4, 1]),
        (2654, 6, [0, 2, 3]),
        (3520, 6, [2, 0, 3]),
        (3558, 5, [1, 4, 0]),
        (5937, 5, [1, 3, 1]),
        (6651, 0, [0, 5, 0]),
        (6783, 1, [2, 3, 0]),
        (8527, 4, [2, 2, 1]),
        (9679, 6, [2, 0, 3]),
        (9729, 5, [2, 3, 0]),
    ];

    #[test]
    fn the_known_errors_are_numbered_as_our_images_are() {
        let mnist = tenfold_nn::data::Source::mnist();
        for (image, label, people) in KNOWN {
            assert_eq!(mnist.test.labels_for_report()[image], label, "image {image}");
            assert!(people[0] < 3 && people.iter().sum::<u16>() == 5, "image {image}");
        }
    }
}
