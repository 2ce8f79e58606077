//! Our figures beside those that were published for the same networks, which are not ours.

use maud::{Markup, html};

use super::Page;
use super::blocks::numbers;
use crate::format::{percent, seconds};

pub(super) fn section(page: &Page) -> Option<Markup> {
    let published = |name: &str| page.record().recipes.iter().find(|r| r.name == name)?.published.as_ref();
    let rows: Vec<Vec<String>> = page
        .comparison
        .recipes
        .iter()
        .filter_map(|r| {
            let theirs = published(&r.recipe)?;
            let points = 100.0 * (r.accuracy.mean - theirs.test_accuracy);
            Some(vec![
                r.recipe.clone(),
                theirs.title.clone(),
                percent(theirs.test_accuracy),
                percent(r.accuracy.mean),
                format!("{points:+.2}"),
                percent(theirs.balanced_accuracy),
                percent(r.balanced_accuracy.mean),
                seconds(theirs.training_time_s),
                r.time.as_ref().map_or("-".to_owned(), |time| seconds(time.median_s)),
            ])
        })
        .collect();
    let head = [
        "recipe",
        "published as",
        "accuracy, published",
        "ours, mean",
        "points apart",
        "balanced, published",
        "ours, mean",
        "training, published",
        "ours, median",
    ];
    (!rows.is_empty()).then(|| {
        html! {
            p { "The published study trained each network once and printed these figures; its machine and optimizers were not \
                 stated, so times say nothing about programs. The columns named \u{201c}ours\u{201d} are of this study." }
            (numbers("Published figures and ours, on the test images", &head, &rows))
        }
    })
}
