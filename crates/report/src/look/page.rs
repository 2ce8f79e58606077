//! The HTML page of one network, and that of the gallery.

use maud::{Markup, PreEscaped, html};

use super::gallery::{Entry, Gallery, PAIRS, SUSPECTS, guesses_words, most_of_a_pair};
use super::image_trace::{self, ImageTrace, predicted, probability};
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
pub fn image_trace_section(trace: &ImageTrace) -> Section {
    let name = |class: Option<&image_trace::Class>| class.map_or(String::new(), |class| class.name.clone());
    let (said, label) = (predicted(&trace.classes), trace.label.and_then(|label| trace.classes.get(label)));
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
    let layers: Vec<&str> = trace.stages.iter().map(|stage| stage.name.split(':').next().unwrap_or("")).collect();
    let alternative = format!(
        "The input, which of its pixels mattered for class {}, what {} make of it as maps and strips of colours, and the \
         logit and the probability of each class as bars.",
        name(trace.classes.get(trace.explained)),
        listed(&layers)
    );
    let rows = trace.classes.iter().enumerate().map(|(n, class)| {
        let is_said = said.is_some_and(|said| said.name == class.name);
        let marks: Vec<&str> = [(is_said, "predicted"), (trace.label == Some(n), "the label")]
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
        pictures: vec![Shown { title: trace.heading.clone(), alternative, png: image_trace::image_trace(trace) }],
        tables: vec![("What the network says of each class".to_owned(), head, rows.collect())],
    }
}

/// Pixels of all images that the gallery's page shows, and images, so that it can be mailed.
const PIXELS_SHOWN: usize = 400_000;
const IMAGES_SHOWN: usize = 600;
/// Side of an image on the page.
const IMAGE_PX: usize = 84;

/// The page of the gallery: suspect labels, then the pairs, each image with every recipe's two best guesses. Where
/// there are many images fewer of each pair are shown, then fewer pairs; it says so. The same input gives the same
/// bytes.
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
        let heading = format!("Suspect labels: {}", count(gallery.suspects.len() as u64));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::{gallery, image_trace};

    const ATTACK: &str = "<script>alert('x')</script>\"'&";

    /// The beginning of an animated PNG.
    fn animation() -> Vec<u8> {
        b"\x89PNG....IHDR.................acTL....IDAT".to_vec()
    }

    fn network(text: &str) -> String {
        let shown = |png| Shown { title: text.to_owned(), alternative: text.to_owned(), png };
        let row = |n: usize| vec![n.to_string(), "-0.25".to_owned(), format!("{text} {n}")];
        let table = |rows: usize| (text.to_owned(), vec![text.to_owned(); 3], (0..rows).map(row).collect());
        let section = Section {
            id: "film".to_owned(),
            heading: text.to_owned(),
            sentences: vec![text.to_owned()],
            pictures: vec![shown(b"\x89PNG....IDAT.acTL".to_vec()), shown(animation())],
            tables: vec![table(3), table(40)],
        };
        let mut trace = image_trace::tests::made_up();
        trace.heading = text.to_owned();
        let sections = vec![section, image_trace_section(&trace)];
        network_page(&NetworkPage { title: text.to_owned(), subtitle: vec![text.to_owned()], sections })
    }

    fn pages(text: &str) -> [String; 2] {
        let mut gallery = gallery::tests::made_up(2, &[3, 1]);
        gallery.title = text.to_owned();
        gallery.pairs[0].label = text.to_owned();
        gallery.pairs[0].entries[0].guesses[0].0 = text.to_owned();
        gallery.suspects[0].label = text.to_owned();
        [network(text), gallery_page(&gallery)]
    }

    #[test]
    fn words_from_outside_are_escaped() {
        for page in pages(ATTACK) {
            assert!(!page.contains("<script") && !page.contains("</script>\"'"), "an element from a name");
            assert!(page.contains("&lt;script&gt;alert("));
        }
    }

    #[test]
    fn pages_load_nothing_and_run_nothing() {
        for page in pages("a") {
            for word in ["<script", "<link", "<iframe", "@import", "javascript:", "http:", "https:", "onclick="] {
                assert!(!page.contains(word), "{word}");
            }
            assert!(page.contains("default-src 'none'; img-src data:; style-src 'unsafe-inline'"));
        }
    }

    #[test]
    fn headings_go_down_one_level_at_a_time_and_ids_name_one_thing() {
        for page in pages("a") {
            let levels: Vec<u8> =
                page.split("<h").filter_map(|rest| rest.bytes().next()).filter(u8::is_ascii_digit).collect();
            assert_eq!(levels.iter().filter(|level| **level == b'1').count(), 1);
            assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{levels:?}");
            let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            let linked: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(linked.iter().all(|link| ids.contains(link)), "{linked:?} {ids:?}");
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), count);
        }
    }

    #[test]
    fn what_moves_and_what_is_long_is_folded() {
        let page = network("a");
        let (film, trace) = page.split_once("id=\"way\"").expect("two sections");
        assert_eq!(film.matches("<figure>").count(), 2);
        assert_eq!(film.matches("Play the animation").count(), 1, "a still picture may have any word in its pixels");
        assert_eq!((film.matches("<details>").count(), film.matches("<table>").count()), (2, 2));
        assert!(!trace.contains("<details>"));
    }

    #[test]
    fn columns_of_numbers_stand_right() {
        let page = network("a");
        assert!(page.contains("<td class=\"number\">-0.25</td><td class=\"\">a 0</td>"));
    }

    #[test]
    fn the_way_is_said_in_words_and_numbers() {
        let mut trace = image_trace::tests::made_up();
        let section = image_trace_section(&trace);
        assert_eq!(section.sentences, ["The network takes it for 3 with a probability of 0.6000; it is labelled 1."]);
        assert_eq!(
            section.pictures[0].alternative,
            "The input, which of its pixels mattered for class 3, what conv1, maxpool1 and fc1 make of it as maps and strips \
             of colours, and the logit and the probability of each class as bars."
        );
        let (_, _, rows) = &section.tables[0];
        assert_eq!(rows[1], ["1", "0.2500", "-0.50", "the label"]);
        assert_eq!(rows[3], ["3", "0.6000", "+1.50", "predicted"]);
        trace.label = Some(3);
        assert!(image_trace_section(&trace).sentences[0].ends_with("0.6000, as it is labelled."));
        trace.label = None;
        assert!(image_trace_section(&trace).sentences[0].ends_with("of 0.6000."));
    }

    #[test]
    fn the_gallery_names_images_and_guesses() {
        let page = gallery_page(&gallery::tests::made_up(2, &[3, 1]));
        for words in [
            "Suspect labels: 2",
            "<h3 id=\"pair-0\">7 taken for 0: 3 images</h3>",
            "<a href=\"#pair-1\">7 \u{2192} 1</a> (1)",
            "aria-label=\"test image 1001, labelled 7\"",
            "mlp: 0 0.61, 7 0.38",
            "11 of 30 trainings wrong",
        ] {
            assert!(page.contains(words), "{words}");
        }
        assert_eq!(page.matches("<li class=\"entry\">").count(), 6);
        assert_eq!(page.matches("data:image/png").count(), 1, "all images are in one picture");
    }

    #[test]
    fn a_large_gallery_shows_fewer_and_says_so() {
        let page = gallery_page(&gallery::tests::made_up(20, &[300; 7]));
        assert!(page.contains("7 taken for 0: 300 images, 82 shown"));
        assert_eq!(page.matches("<li class=\"entry\">").count(), 20 + 7 * 82);
        let page = gallery_page(&gallery::tests::made_up(0, &[1; 700]));
        assert!(page.contains("Not shown: 100 more pairs with 100 images."));
        assert!(gallery_page(&gallery::tests::made_up(0, &[])).contains("<main id=\"main\"></main>"));
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        assert_eq!(pages("a"), pages("a"));
    }
}
