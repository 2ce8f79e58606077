//! The test images that networks get wrong, by pair of label and what it is taken for; and suspect labels.

use super::image_trace::cut;
use crate::feature_maps::{Image, draw_tile, pixel};
use crate::font::Face;
use crate::format::count;
use crate::heading::{Heading, LINE, Words};
use crate::picture::{Align, FRAME, INK, Picture, SOFT_INK};

/// The gallery.
#[derive(Clone, PartialEq, Debug)]
pub struct Gallery {
    /// The study's title.
    pub title: String,
    /// What was asked: `6 recipes, 30 trainings`.
    pub subtitle: String,
    /// Suspect labels.
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

/// The gallery, as a PNG file.
pub fn gallery(gallery: &Gallery) -> Vec<u8> {
    draw(gallery).png()
}

/// The most images of a pair, at least one, for which `fits` holds; more never fit where fewer do not.
pub(crate) fn most_of_a_pair(gallery: &Gallery, fits: impl Fn(usize) -> bool) -> usize {
    let longest = gallery.pairs.iter().map(|pair| pair.entries.len()).max().unwrap_or(1).max(1);
    let (mut most, mut too_many) = (1, longest + 1);
    while too_many - most > 1 {
        let middle = (most + too_many) / 2;
        if fits(middle) { most = middle } else { too_many = middle }
    }
    most
}

impl Pair {
    /// `7 taken for 2: 9 images`, with how many of them are shown if not all are.
    pub(crate) fn heading(&self, shown: usize) -> String {
        let images = if self.count == 1 { "image" } else { "images" };
        let of = if shown < self.count { format!(", {} shown", count(shown as u64)) } else { String::new() };
        format!("{} taken for {}: {} {images}{of}", self.label, self.taken_for, count(self.count as u64))
    }
}

impl Entry {
    /// `5 of 30 trainings wrong`.
    pub(crate) fn wrong_words(&self) -> String {
        format!("{} of {} trainings wrong", self.wrong.0, self.wrong.1)
    }
}

/// `2 0.61, 7 0.38`.
pub(crate) fn guesses_words(guesses: &[(String, f64); 2]) -> String {
    guesses.each_ref().map(|(class, probability)| format!("{class} {probability:.2}")).join(", ")
}

/// What the suspects are.
pub(crate) const SUSPECTS: &str = "The more accurate recipes agree on another class: the label may be wrong, the image may be \
                                   either, or all may be mistaken. A person has to look.";

/// What the pairs are.
pub(crate) const PAIRS: &str = "The worst of each pair first. Below each image, every recipe's two best guesses with their \
                                probabilities; grey where the first of them is the label.";

const WIDTH: usize = 1480;
const MARGIN: usize = 24;
const ROOM: usize = WIDTH - 2 * MARGIN;
const IMAGE_PX: usize = 112;
const IMAGE_GAP: usize = 10;
const CELL_GAP: usize = 24;
const GUESS_LINE: usize = 15;
const PAIR_HEADING: usize = 26;
/// Longer names of classes are cut, rather than that all cells become wider.
const WIDEST_HEADING: usize = 420;
/// Pixels of a picture, about.
const LARGEST_AREA: usize = 20_000_000;

/// The gallery: suspect labels first, then the pairs, each image with what each recipe says of it. Beyond about 20
/// million pixels fewer images of each pair are shown, then fewer pairs; it says so.
pub fn draw(gallery: &Gallery) -> Picture {
    draw_within(gallery, LARGEST_AREA)
}

fn draw_within(gallery: &Gallery, area: usize) -> Picture {
    let grid = Grid::of(gallery);
    let lines_that_fit = (area / WIDTH / (grid.cell_height + PAIR_HEADING)).max(1);
    let suspects = grid.suspects(gallery);
    let room = lines_that_fit.saturating_sub(suspects.len()).max(1);
    let most = most_of_a_pair(gallery, |most| grid.pairs(gallery, most).len() <= room);
    let mut pairs = grid.pairs(gallery, most);
    pairs.truncate(room);

    let mut bands = vec![title(gallery)];
    if !suspects.is_empty() {
        let heading = format!("Suspect labels: {}", count(gallery.suspects.len() as u64));
        bands.push(section(&heading, SUSPECTS));
        bands.extend(suspects.iter().take(lines_that_fit).map(|line| grid.line(line)));
    }
    if !pairs.is_empty() {
        bands.push(section("What is taken for what", PAIRS));
        bands.extend(pairs.iter().map(|line| grid.line(line)));
    }
    let begun = pairs.iter().flatten().filter(|cell| cell.heading.is_some()).count();
    let rest = &gallery.pairs[begun..];
    if !rest.is_empty() {
        let images = rest.iter().map(|pair| pair.count as u64).sum();
        let text = format!("Not shown: {} more pairs with {} images.", count(rest.len() as u64), count(images));
        bands.push(section(&text, ""));
    }
    Picture::stacked(&bands)
}

fn title(gallery: &Gallery) -> Picture {
    let heading = Heading::new(
        &format!("{}: the images they get wrong", gallery.title),
        std::slice::from_ref(&gallery.subtitle),
        ROOM,
    );
    let mut picture = Picture::new(WIDTH, MARGIN + heading.height());
    heading.draw(&mut picture, (MARGIN, MARGIN));
    picture
}

fn section(heading: &str, note: &str) -> Picture {
    let mut picture = Picture::new(WIDTH, if note.is_empty() { 40 } else { 52 });
    picture.text((MARGIN, 6), Align::Left, Face::Title, INK, heading);
    picture.text((MARGIN, 25), Align::Left, Face::Regular, SOFT_INK, note);
    picture
}

/// An image's place, with the heading of its pair if it is the first of it.
struct Cell<'a> {
    heading: Option<String>,
    entry: &'a Entry,
}

/// The size of all cells.
struct Grid {
    /// Characters of the longest name of a recipe.
    name_columns: usize,
    cell_width: usize,
    cell_height: usize,
    columns: usize,
}

impl Grid {
    fn of(gallery: &Gallery) -> Grid {
        let entries = || gallery.suspects.iter().chain(gallery.pairs.iter().flat_map(|pair| &pair.entries));
        let guesses = || entries().flat_map(|entry| &entry.guesses);
        let name_columns = guesses().map(|(recipe, _)| recipe.chars().count()).max().unwrap_or(0).min(24);
        let below = guesses().map(|guess| Face::Regular.text_width(&guess_line(guess, name_columns)));
        let beside = entries().flat_map(facts).map(|(face, _, text)| IMAGE_PX + IMAGE_GAP + face.text_width(&text));
        // With the longest number of images that may be shown.
        let heading = |pair: &Pair| Face::Bold.text_width(&pair.heading(pair.count.saturating_sub(1)));
        let headings = gallery.pairs.iter().map(|pair| heading(pair).min(WIDEST_HEADING));
        let lowest = below.chain(beside).chain(headings).max().unwrap_or(1).min(ROOM);
        let columns = ((ROOM + CELL_GAP) / (lowest + CELL_GAP)).max(1);
        let lines = entries().map(|entry| entry.guesses.len()).max().unwrap_or(0);
        Grid {
            name_columns,
            cell_width: (ROOM + CELL_GAP) / columns - CELL_GAP,
            cell_height: IMAGE_PX + 8 + lines * GUESS_LINE + 20,
            columns,
        }
    }

    fn suspects<'a>(&self, gallery: &'a Gallery) -> Vec<Vec<Cell<'a>>> {
        let cells = |entries: &'a [Entry]| entries.iter().map(|entry| Cell { heading: None, entry }).collect();
        gallery.suspects.chunks(self.columns).map(cells).collect()
    }

    /// The pairs in lines, at most `most` images of each; small pairs share a line.
    fn pairs<'a>(&self, gallery: &'a Gallery, most: usize) -> Vec<Vec<Cell<'a>>> {
        let mut lines: Vec<Vec<Cell>> = Vec::new();
        for pair in &gallery.pairs {
            let entries = &pair.entries[..pair.entries.len().min(most)];
            // A pair that does not fit into what is left of a line begins one.
            let mut is_new = lines.last().is_none_or(|line| line.len() + entries.len() > self.columns);
            for (n, entry) in entries.iter().enumerate() {
                let heading = (n == 0).then(|| pair.heading(entries.len()));
                match lines.last_mut() {
                    Some(line) if !is_new && line.len() < self.columns => line.push(Cell { heading, entry }),
                    _ => lines.push(vec![Cell { heading, entry }]),
                }
                is_new = false;
            }
        }
        lines
    }

    fn line(&self, cells: &[Cell]) -> Picture {
        let top = if cells.iter().any(|cell| cell.heading.is_some()) { PAIR_HEADING } else { 0 };
        let mut picture = Picture::new(WIDTH, top + self.cell_height);
        for (n, cell) in cells.iter().enumerate() {
            let x = MARGIN + n * (self.cell_width + CELL_GAP);
            if let Some(heading) = &cell.heading {
                // A line above what belongs together.
                let together = cells[n + 1..].iter().take_while(|cell| cell.heading.is_none()).count();
                let length = (together + 1) * (self.cell_width + CELL_GAP) - CELL_GAP;
                picture.fill(x, 0, length, 1, FRAME);
                let heading = cut(heading, self.cell_width / Face::Bold.width());
                picture.text((x, 6), Align::Left, Face::Bold, INK, &heading);
            }
            self.draw_entry(&mut picture, (x, top), cell.entry);
        }
        picture
    }

    fn draw_entry(&self, paper: &mut Picture, (x, y): (usize, usize), entry: &Entry) {
        let image = &entry.image;
        draw_tile(paper, (x, y + 1), IMAGE_PX, (image.width, image.height), |row, column| pixel(image, row, column));
        for (n, (face, color, text)) in facts(entry).iter().enumerate() {
            paper.text((x + IMAGE_PX + IMAGE_GAP, y + 2 + n * LINE), Align::Left, *face, *color, text);
        }
        for (n, guess) in entry.guesses.iter().enumerate() {
            let at_y = y + IMAGE_PX + 8 + n * GUESS_LINE;
            let right = guess.1[0].0 == entry.label;
            let color = if right { SOFT_INK } else { INK };
            paper.text((x, at_y), Align::Left, Face::Regular, color, &guess_line(guess, self.name_columns));
        }
    }
}

/// What stands beside an image.
fn facts(entry: &Entry) -> Vec<Words> {
    vec![
        (Face::Regular, SOFT_INK, "test image".to_owned()),
        (Face::Regular, INK, entry.number.to_string()),
        (Face::Bold, INK, format!("{} -> {}", cut(&entry.label, 16), cut(&entry.taken_for, 16))),
        (Face::Regular, INK, format!("{} of {}", entry.wrong.0, entry.wrong.1)),
        (Face::Regular, INK, "trainings".to_owned()),
        (Face::Regular, INK, "wrong".to_owned()),
    ]
}

/// `cnn2    2 0.61, 7 0.38`.
fn guess_line((recipe, best): &(String, [(String, f64); 2]), name_columns: usize) -> String {
    cut(&format!("{:<name_columns$}  {}", cut(recipe, name_columns), guesses_words(best)), 60)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::picture::{fingerprint, has_margin};

    fn entry(number: usize) -> Entry {
        let best = |n: usize| [((n % 10).to_string(), 0.61), ("7".to_owned(), 0.38)];
        Entry {
            number,
            image: Image {
                channels: 1,
                height: 8,
                width: 8,
                pixels: (0..64).map(|n| (n * number % 256) as u8).collect(),
            },
            label: "7".to_owned(),
            taken_for: (number % 7).to_string(),
            wrong: (number % 30 + 1, 30),
            guesses: vec![("mlp".to_owned(), best(number % 7)), ("cnn2-dropout-b50".to_owned(), best(7))],
        }
    }

    fn pair(class: usize, entries: usize) -> Pair {
        let entries: Vec<Entry> = (0..entries).map(|n| entry(class + 7 * n)).collect();
        Pair { label: "7".to_owned(), taken_for: class.to_string(), count: entries.len(), entries }
    }

    /// Suspects, and pairs with so many images.
    pub(crate) fn made_up(suspects: usize, pairs: &[usize]) -> Gallery {
        Gallery {
            title: "Digits".to_owned(),
            subtitle: "2 recipes, 30 trainings".to_owned(),
            suspects: (0..suspects).map(|n| entry(1000 + n)).collect(),
            pairs: pairs.iter().enumerate().map(|(class, entries)| pair(class, *entries)).collect(),
        }
    }

    #[test]
    fn small_pairs_share_a_line_and_large_ones_begin_one() {
        let gallery = made_up(0, &[7, 1, 2, 1, 1, 1]);
        let grid = Grid { columns: 5, ..Grid::of(&gallery) };
        let lines = |most: usize| {
            let lines = grid.pairs(&gallery, most);
            let heading = |cell: &Cell| cell.heading.is_some();
            lines.iter().map(|line| line.iter().map(heading).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let (first, next) = (true, false);
        let all =
            [vec![first, next, next, next, next], vec![next, next, first, first, next], vec![first, first, first]];
        assert_eq!(lines(99), all);
        assert_eq!(lines(2), [vec![first, next, first, first, next], vec![first, first, first]]);
        assert_eq!(lines(1), [vec![first; 5], vec![first]]);
    }

    #[test]
    fn headings_say_how_many_there_are_and_are_shown() {
        assert_eq!(pair(2, 9).heading(9), "7 taken for 2: 9 images");
        assert_eq!(pair(2, 9).heading(4), "7 taken for 2: 9 images, 4 shown");
        assert_eq!(pair(2, 1).heading(1), "7 taken for 2: 1 image");
        assert_eq!(entry(4).wrong_words(), "5 of 30 trainings wrong");
        assert_eq!(guess_line(&entry(2).guesses[0], 5), "mlp    2 0.61, 7 0.38");
    }

    #[test]
    fn as_many_images_of_a_pair_as_fit() {
        let gallery = made_up(0, &[40, 3]);
        for limit in 1..=50 {
            assert_eq!(most_of_a_pair(&gallery, |most| most <= limit), limit.min(40));
        }
        assert_eq!(most_of_a_pair(&gallery, |_| false), 1);
        assert_eq!(most_of_a_pair(&made_up(0, &[]), |_| true), 1);
    }

    #[test]
    fn a_picture_keeps_within_its_area() {
        let gallery = made_up(12, &[60; 30]);
        let rows = |area: usize| draw_within(&gallery, area).height();
        for area in [2_000_000, 4_000_000, 8_000_000] {
            let height = rows(area);
            assert!(height * WIDTH < area + 300 * WIDTH && height * WIDTH > area / 3, "{area}: {height}");
        }
    }

    #[test]
    fn the_picture_is_pinned() {
        let picture = draw(&made_up(3, &[6, 1, 2]));
        assert_eq!((picture.width(), picture.height()), (1480, 741));
        assert_eq!(fingerprint(&picture), 282021843738942921, "looked at and found good? then pin the new value");
        assert_eq!(super::gallery(&made_up(3, &[6, 1, 2])), picture.png());
    }

    #[test]
    fn odd_galleries_do_not_panic_and_nothing_is_cut_off() {
        draw(&made_up(0, &[]));
        draw(&made_up(0, &[0, 0]));
        draw_within(&made_up(200, &[3]), 0);
        let mut odd = made_up(1, &[1]);
        odd.suspects[0].guesses = vec![("name ".repeat(50), [("class ".repeat(50), f64::NAN), (String::new(), 0.0)])];
        odd.suspects[0].image = Image { channels: 3, height: 300, width: 200, pixels: vec![77; 180_000] };
        odd.pairs[0].label = "label ".repeat(90);
        odd.title = "title ".repeat(60);
        assert!(has_margin(&draw(&odd), 12));
    }
}
