//! The test images that sets of recipes get wrong, the hardest first.

use maud::{Markup, PreEscaped, html};
use tenfold_study::comparison::SharedMistakes;

use super::Page;
use super::blocks::{numbers, scrolling};
use super::sprite::Sprite;
use crate::classes::class_name;
use crate::format::count;

/// Sets of recipes of which images are shown, and images of each.
const SETS_SHOWN: usize = 12;
const IMAGES_SHOWN: usize = 12;

/// Pixels of all images that are shown.
const PIXELS_SHOWN: usize = 400_000;

/// What the seeds of one recipe say of one image, together.
struct Guess {
    class: u16,
    /// Seeds that say so, of how many.
    seeds: (usize, usize),
    /// The mean probability that these give it.
    probability: f64,
}

pub(super) fn section(page: &Page) -> Option<Markup> {
    let sets = &page.comparison.shared_mistakes;
    if sets.is_empty() {
        return None;
    }
    let all = page.comparison.recipes.iter().filter(|r| !page.said(&r.recipe).is_empty()).count();
    let mut by_count: Vec<&SharedMistakes> = sets.iter().collect();
    by_count.sort_by_key(|set| (set.recipes.len() != all, std::cmp::Reverse(set.count)));
    let shown = &by_count[..by_count.len().min(SETS_SHOWN)];
    let images: Vec<usize> = shown.iter().flat_map(|set| set.hardest.iter().take(IMAGES_SHOWN).copied()).collect();
    // Large images would make the page too large to mail.
    let [_, height, width] = page.shape;
    let room = PIXELS_SHOWN / (height * width).max(1);
    let images: Vec<usize> = images.into_iter().take(room).collect();
    let sprite = Sprite::new(&images, page.shape, 64, page.image);
    let rows: Vec<Vec<String>> =
        by_count.iter().map(|set| vec![missed_by(set, all), count(set.count as u64)]).collect();
    Some(html! {
        style { (PreEscaped(sprite.style("mistake"))) }
        p { "An image counts as missed by a recipe if most of its seeds are wrong. Hardest first: those that the most trainings get \
             wrong, then those that they are surest about." }
        @for (n, set) in shown.iter().enumerate() {
            h3 { (missed_by(set, all)) ": " (count(set.count as u64)) }
            @let images = &set.hardest[..set.hardest.len().min(IMAGES_SHOWN)];
            @if set.count > images.len() { p.note { (images.len()) " of " (count(set.count as u64)) " shown" } }
            div.tiles {
                @for &image in images.iter().filter(|image| sprite.has(**image)) {
                    @let truth = truth(page, image);
                    @let wrong = commonest_mistake(page, image);
                    div.shown {
                        (sprite.tile("mistake", image, &format!("test image {image}, labelled {truth}{}", path(page, image))))
                        span { b { (truth) } " \u{2192} " (wrong) }
                    }
                }
            }
            details {
                summary { "What each recipe says of them" }
                (guesses(page, images, n))
            }
        }
        details {
            summary { "All sets (" (by_count.len()) ")" }
            (numbers("Which recipes miss the same test images", &["missed by", "images"], &rows))
        }
    })
}

fn missed_by(set: &SharedMistakes, all: usize) -> String {
    const WORDS: [&str; 7] = ["none", "one", "both", "three", "four", "five", "six"];
    match &set.recipes[..] {
        recipes if recipes.len() == all && all == 2 => "Both miss".to_owned(),
        recipes if recipes.len() == all && all > 2 => {
            format!("All {} miss", WORDS.get(all).map_or(all.to_string(), |word| (*word).to_owned()))
        }
        [only] if all == 1 => format!("{only} misses"),
        [only] => format!("Only {only} misses"),
        recipes => format!("Missed by {}", recipes.join(", ")),
    }
}

fn truth(page: &Page, image: usize) -> String {
    page.study.images.labels.get(image).map_or("?".to_owned(), |&label| name(page, label))
}

fn name(page: &Page, class: u16) -> String {
    class_name(page.class_names(), usize::from(class))
}

/// Where the image is, if it has a file of its own.
fn path(page: &Page, image: usize) -> String {
    page.study.test_paths.get(image).map_or(String::new(), |path| format!(", {path}"))
}

/// What most seeds of a recipe say.
fn guess(page: &Page, recipe: &str, image: usize) -> Option<Guess> {
    let said = page.said(recipe);
    let answers: Vec<_> = said.iter().filter_map(|seed| seed.get(image)).collect();
    let votes = |class: u16| answers.iter().filter(|p| p.prediction == class).count();
    // Of classes with as many votes, the first that a seed names.
    let class = answers.iter().map(|p| p.prediction).rev().max_by_key(|class| votes(*class))?;
    let those = answers.iter().filter(|p| p.prediction == class);
    let probability = those.clone().map(|p| f64::from(p.probability)).sum::<f64>() / votes(class) as f64;
    Some(Guess { class, seeds: (votes(class), answers.len()), probability })
}

/// The class that most recipes take the image for, if it is not its own.
fn commonest_mistake(page: &Page, image: usize) -> String {
    let truth = page.study.images.labels.get(image);
    let guesses: Vec<u16> =
        page.comparison.recipes.iter().filter_map(|r| guess(page, &r.recipe, image)).map(|g| g.class).collect();
    let wrong: Vec<u16> = guesses.into_iter().filter(|class| Some(class) != truth).collect();
    let votes = |class: u16| wrong.iter().filter(|other| **other == class).count();
    wrong.iter().rev().max_by_key(|class| votes(**class)).map_or(String::new(), |&class| name(page, class))
}

fn guesses(page: &Page, images: &[usize], set: usize) -> Markup {
    let label = format!("What each recipe says, set {}", set + 1);
    scrolling(
        &label,
        html! {
            table {
                thead { tr {
                    th scope="col" { "test image" }
                    th scope="col" { "label" }
                    @for r in &page.comparison.recipes { th scope="col" { (r.recipe) } }
                } }
                tbody {
                    @for &image in images {
                        tr {
                            th scope="row" { (image) (path(page, image)) }
                            td { (truth(page, image)) }
                            @for r in &page.comparison.recipes {
                                td { @if let Some(g) = guess(page, &r.recipe, image) {
                                    (name(page, g.class)) " (" (format!("{:.2}", g.probability))
                                    @if g.seeds.1 > 1 { ", " (g.seeds.0) " of " (g.seeds.1) } ")"
                                } }
                            }
                        }
                    }
                }
            }
            p.note { "The answer of most seeds, with the mean probability that they give it, and how many they are." }
        },
    )
}
