//! `report.html`: the whole study in one file that opens anywhere, without a network and without a script.
//!
//! One file per section. A section is heading, sentences, charts and tables; every chart has its numbers in a table
//! below it. The words and tables of verdicts are those of [`crate::comparison`], written once.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use tenfold_study::comparison::Comparison;
use tenfold_study::record::StudyRecord;
use tenfold_study::{FinishedStudy, Prediction};

use crate::comparison::{Compared, SIZE, document};

pub(crate) mod blocks;
mod calibration;
mod chart;
mod classes;
mod confusion;
mod cost;
mod curves;
mod inside;
mod mistakes;
mod origin;
mod published;
pub(crate) mod sprite;
mod verdict;

/// Everything that the page shows.
pub struct Page<'a> {
    /// The record, with what each finished trial said of each test image.
    pub study: &'a FinishedStudy,
    /// What the trials say together.
    pub comparison: &'a Comparison,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// The pixels of a test image, `[channels, height, width]`.
    pub image: &'a dyn Fn(usize) -> Vec<u8>,
    /// Pictures of what a network learned.
    pub pictures: Vec<Shown>,
    /// The text of `study.toml`.
    pub study_toml: String,
}

/// A picture that exists already.
pub struct Shown {
    /// What it is a picture of.
    pub title: String,
    /// What there is to see, for those who do not see it.
    pub alternative: String,
    /// The picture.
    pub png: Vec<u8>,
}

impl Page<'_> {
    fn record(&self) -> &StudyRecord {
        &self.study.record
    }

    fn class_names(&self) -> &[String] {
        &self.record().dataset.class_names
    }

    /// What each finished trial of a recipe said, by seed.
    fn said(&self, recipe: &str) -> Vec<&[Prediction]> {
        let at = self.record().recipes.iter().position(|r| r.name == recipe);
        let by_seed = at.and_then(|at| self.study.predictions.get(at));
        by_seed.map_or(Vec::new(), |by_seed| by_seed.values().map(Vec::as_slice).collect())
    }
}

const STYLE: &str = include_str!("style.css");

/// The page. The same input gives the same bytes.
pub fn page(page: &Page) -> String {
    let record = page.record();
    let compared = Compared::one(record, page.comparison.clone());
    let words = document(&compared);
    let sections: Vec<(&str, &str, Option<Markup>)> = vec![
        ("verdict", "Which is better", Some(verdict::section(page, &words))),
        ("size", SIZE, Some(verdict::size(&words))),
        ("published", "Beside the published figures", published::section(page)),
        ("curves", "Learning curves", curves::section(page)),
        ("classes", "Class by class", classes::section(page)),
        ("confusion", "Confusion matrix", confusion::section(page)),
        ("calibration", "Whether probabilities mean what they say", calibration::section(page)),
        ("cost", "What accuracy costs", cost::section(page)),
        ("mistakes", "The images they get wrong", mistakes::section(page)),
        ("inside", "What a network learned", inside::section(page)),
        ("origin", "Where the numbers come from", Some(origin::section(page))),
        ("limits", "What this does not show", Some(origin::limits(page))),
    ];
    let shown: Vec<_> = sections.into_iter().filter_map(|(id, title, body)| Some((id, title, body?))).collect();
    let sections = shown.into_iter().map(|(id, title, body)| (id.to_owned(), title.to_owned(), body)).collect();
    let skip = ("verdict", "Skip to the verdict");
    let subtitle = html! {
        p { (blocks::subtitle(record)) }
        @if !record.dataset.warnings.is_empty() {
            div.stamp { "About the data:" ul { @for warning in &record.dataset.warnings { li { (warning) } } } }
        }
    };
    document_of(&record.title, subtitle, skip, &record.environment.version, sections)
}

/// A page of sections (id, heading, content) with a list of them on top, and a link that skips it.
pub(crate) fn document_of(
    title: &str,
    subtitle: Markup,
    skip: (&str, &str),
    version: &str,
    sections: Vec<(String, String, Markup)>,
) -> String {
    let csp = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(csp);
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "tenfold " (version) };
                title { (title) " - tenfold" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href={ "#" (skip.0) } { (skip.1) }
                header {
                    h1 { (title) }
                    (subtitle)
                }
                nav aria-label="Sections" {
                    ul { @for (id, title, _) in &sections { li { a href={ "#" (id) } { (title) } } } }
                }
                main id="main" {
                    @for (id, title, body) in &sections {
                        section id=(id) aria-labelledby={ (id) "-title" } {
                            h2 id={ (id) "-title" } { (title) }
                            (body)
                        }
                    }
                }
                footer { p { "Written by tenfold " (version) ". Everything is in this file: it loads nothing and runs nothing." } }
            }
        }
    };
    markup.into_string() + "\n"
}

#[cfg(test)]
mod tests;
