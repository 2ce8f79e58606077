//! The HTML page of one network, and that of the gallery.

use maud::{Markup, PreEscaped, html};

use super::gallery::{Entry, Gallery, PAIRS, SUSPECTS, guesses_words, most_of_a_pair};
use super::journey::{self, Journey, predicted, probability};
use crate::format::{count, listed};
use crate::html::blocks::{figure, numbers};
use crate::html::sprite::Sprite;
use crate::html::{Shown, document_of};

/// What is known of one network.
pub struct NetworkPage {
    /// The title: `cnn2 seed 1`.
    pub title: String,
    /// Lines below the title.
    pub subtitle: Vec<String>,
    /// The sections, in their order.
    pub sections: Vec<Section>,
}

/// A section of a page.
pub struct Section {
    /// Its address in the page, which no other section has: `filters-conv1`.
    pub id: String,
    /// Its heading.
    pub heading: String,
    /// What there is to say, a paragraph each.
    pub sentences: Vec<String>,
    /// Pictures. An animation is folded away, so that nothing moves unasked.
    pub pictures: Vec<Shown>,
    /// Tables below the pictures.
    pub tables: Vec<Table>,
}

/// Caption, names of the columns, and rows of which the first cell is the row's name.
pub type Table = (String, Vec<String>, Vec<Vec<String>>);

/// Rows up to which a table is not folded.
const ROWS_SHOWN: usize = 12;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page of one network. The same input gives the same bytes.
pub fn network_page(page: &NetworkPage) -> String {
    let sections = page.sections.iter().map(|section| (section.id.clone(), section.heading.clone(), content(section)));
    // As wide as the widest pictures, so that they are shown as they are where the window is.
    let subtitle = html! { style { "body{max-width:96rem}" } @for line in &page.subtitle { p { (line) } } };
    document_of(&page.title, subtitle, SKIP, VERSION, sections.collect())
}

const SKIP: (&str, &str) = ("main", "Skip to the content");

fn content(section: &Section) -> Markup {
    html! {
        @for sentence in &section.sentences { p { (sentence) } }
        @for shown in &section.pictures { (figure(shown)) }
        @for (caption, head, rows) in &section.tables {
            @let head: Vec<&str> = head.iter().map(String::as_str).collect();
            @let table = numbers(caption, &head, rows);
            @if rows.len() > ROWS_SHOWN { details { summary { (caption) } (table) } } @else { (table) }
        }
    }
}

/// The section of one image's way through the network: the picture, and what the network says of each class.
pub fn journey_section(way: &Journey) -> Section {
    let name = |class: Option<&journey::Class>| class.map_or(String::new(), |class| class.name.clone());
    let (said, label) = (predicted(&way.classes), way.label.and_then(|label| way.classes.get(label)));
    let mut sentences = Vec::new();
    if let Some(said) = said {
        let but = match label {
            Some(label) if label.name == said.name => ", as it is labelled".to_owned(),
            Some(label) => format!("; it is labelled {}", label.name),
            None => String::new(),
        };
        let class = &said.name;
        sentences.push(format!(
            "The network takes it for {class} with a probability of {}{but}.",
            probability(said.probability)
        ));
    }
    let layers: Vec<&str> = way.stages.iter().map(|stage| stage.name.split(':').next().unwrap_or("")).collect();
    let alternative = format!(
        "The input, which of its pixels mattered for class {}, what {} make of it as maps and strips of colours, and the \
         probability of each class as a bar.",
        name(way.classes.get(way.explained)),
        listed(&layers)
    );
    let rows = way.classes.iter().enumerate().map(|(n, class)| {
        let is_said = said.is_some_and(|said| said.name == class.name);
        let marks: Vec<&str> = [(is_said, "predicted"), (way.label == Some(n), "the label")]
            .into_iter()
            .filter_map(|(holds, mark)| holds.then_some(mark))
            .collect();
        vec![class.name.clone(), probability(class.probability), format!("{:+.2}", class.logit), marks.join(", ")]
    });
    let head = ["class", "probability", "logit", "mark"].map(str::to_owned).to_vec();
    Section {
        id: "way".to_owned(),
        heading: "One image's way through".to_owned(),
        sentences,
        pictures: vec![Shown { title: way.heading.clone(), alternative, png: journey::journey(way) }],
        tables: vec![("What the network says of each class".to_owned(), head, rows.collect())],
    }
}

/// Pixels of all images that the gallery's page shows, and images, so that it can be mailed.
const PIXELS_SHOWN: usize = 400_000;
const IMAGES_SHOWN: usize = 600;
/// Side of an image on the page.
const IMAGE_PX: usize = 84;

/// The page of the gallery: likely wrong labels, then the pairs, each image with every recipe's two best guesses. Where there are
/// many images fewer of each pair are shown, then fewer pairs; it says so. The same input gives the same bytes.
pub fn gallery_page(gallery: &Gallery) -> String {
    let all = || gallery.suspects.iter().chain(gallery.pairs.iter().flat_map(|pair| &pair.entries));
    let shape = all().next().map_or([1, 1, 1], |entry| [entry.image.channels, entry.image.height, entry.image.width]);
    let room = IMAGES_SHOWN.min(PIXELS_SHOWN / (shape[1] * shape[2]).max(1)).max(1);
    let suspects = &gallery.suspects[..gallery.suspects.len().min(room)];
    let room = room.saturating_sub(suspects.len()).max(1);
    let shown = |most: usize| gallery.pairs.iter().map(move |pair| pair.entries.len().min(most));
    let most = most_of_a_pair(gallery, |most| shown(most).sum::<usize>() <= room);
    let mut before = 0;
    let pairs = shown(most).take_while(|images| {
        before += images;
        before <= room
    });
    let (pairs, rest) = gallery.pairs.split_at(pairs.count());

    let entries: Vec<&Entry> =
        suspects.iter().chain(pairs.iter().flat_map(|pair| pair.entries.iter().take(most))).collect();
    let numbers: Vec<usize> = entries.iter().map(|entry| entry.number).collect();
    let pixels = |number: usize| {
        let entry = entries.iter().find(|entry| entry.number == number);
        entry.map_or(Vec::new(), |entry| entry.image.pixels.clone())
    };
    let sprite = Sprite::new(&numbers, shape, IMAGE_PX, &pixels);
    let list = |entries: &[Entry]| html! { ul.entries { @for entry in entries { (of_entry(&sprite, entry)) } } };

    let mut sections = Vec::new();
    if !suspects.is_empty() {
        let heading = format!("Likely wrong labels: {}", count(gallery.suspects.len() as u64));
        let body = html! {
            p { (SUSPECTS) }
            @if suspects.len() < gallery.suspects.len() { p.note { (count(suspects.len() as u64)) " shown" } }
            (list(suspects))
        };
        sections.push(("suspects".to_owned(), heading, body));
    }
    if !gallery.pairs.is_empty() {
        let body = html! {
            p { (PAIRS) }
            nav aria-label="Pairs" {
                ul {
                    @for (n, pair) in pairs.iter().enumerate() {
                        li { a href={ "#pair-" (n) } { (pair.label) " \u{2192} " (pair.taken_for) } " (" (count(pair.count as u64)) ")" }
                    }
                }
            }
            @for (n, pair) in pairs.iter().enumerate() {
                @let entries = &pair.entries[..pair.entries.len().min(most)];
                h3 id={ "pair-" (n) } { (pair.heading(entries.len())) }
                (list(entries))
            }
            @if !rest.is_empty() {
                @let images: u64 = rest.iter().map(|pair| pair.count as u64).sum();
                p.note { "Not shown: " (count(rest.len() as u64)) " more pairs with " (count(images)) " images." }
            }
        };
        sections.push(("pairs".to_owned(), "What is taken for what".to_owned(), body));
    }
    let subtitle = html! { style { (PreEscaped(sprite.style(SPRITE))) } p { (gallery.subtitle) } };
    document_of(&format!("{}: the images they get wrong", gallery.title), subtitle, SKIP, VERSION, sections)
}

/// The class of the style that all images share.
const SPRITE: &str = "image";

fn of_entry(sprite: &Sprite, entry: &Entry) -> Markup {
    let Entry { number, label, taken_for, .. } = entry;
    html! {
        li.entry {
            (sprite.tile(SPRITE, *number, &format!("test image {number}, labelled {label}")))
            p { b { (label) " \u{2192} " (taken_for) } ", test image " (number) br; (entry.wrong_words()) }
            ul.guesses {
                @for (recipe, best) in &entry.guesses {
                    li class=(if best[0].0 == *label { "right" } else { "" }) { (recipe) ": " (guesses_words(best)) }
                }
            }
        }
    }
}
