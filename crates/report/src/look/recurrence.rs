//! The same filter across networks, in rows.

use tenfold_study::look::Recurrence;

use crate::filters::{Filter, LARGEST_AREA, MARGIN, Multiples, NAN_HEIGHT, has_nan, lines_that_fit, name, sees_some};
use crate::font::Face;
use crate::format::NONE;
use crate::heading::{Heading, LINE, Words, wrap};
use crate::legend;
use crate::picture::{Align, INK, Picture, SOFT_INK};

/// One row: a filter of the first network and its like in the others.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its kernel.
    pub first: Filter,
    /// In each other network: kernel, correlation of the kernels if they can be compared, of the responses.
    pub twins: Vec<Option<(Filter, Option<f64>, f64)>>,
}

/// What the picture shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    /// The title.
    pub title: String,
    /// The networks, the first one first: `cnn2 seed 1`.
    pub networks: Vec<String>,
    /// For each network the scale of its weights.
    pub limits: Vec<f32>,
    /// Filters that the first network has.
    pub of: usize,
    /// For each other network: how many recur, and how many by chance.
    pub recur: Vec<(usize, usize)>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// The filters of the first network and their like in the others, in rows, as a PNG file.
pub fn recurrence(rows: &Rows) -> Vec<u8> {
    draw(rows).png()
}

const GAP: usize = 24;
const ROW_GAP: usize = 16;
/// A scale's bar, with room for its numbers.
const LOWEST_COLUMN: usize = 65 + 2 * legend::OVERHANG;

/// Like [`recurrence()`], as a [`Picture`]. Of more rows than a picture can hold only the first are shown, and it says
/// so. With many networks it becomes as wide as they need.
///
/// # Panics
/// If there is not one limit for each network, one count and one twin for each but the first, or weights are not as
/// long as their shape says.
pub fn draw(rows: &Rows) -> Picture {
    check(rows);
    let columns: Vec<Column> = (0..rows.networks.len()).map(|network| Column::of(rows, network)).collect();
    let labels: Vec<Vec<Vec<Words>>> = rows.rows.iter().map(labels).collect();
    let grid_width = columns.iter().map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP);
    let label_lines = labels.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let kernel_height = columns.iter().map(|column| column.kernel_height).max().unwrap_or(0);
    let row_height = kernel_height + 8 + label_lines * LINE + ROW_GAP;
    let shown = rows.rows.len().min(lines_that_fit(LARGEST_AREA, grid_width, row_height));

    let heading = Heading::new(&rows.title, &notes(rows, shown), grid_width);
    let head_lines = columns.iter().map(|column| column.head.len()).max().unwrap_or(0);
    let head_y = MARGIN + heading.height();
    let bar_y = head_y + head_lines * LINE + 4;
    let grid_y = bar_y + legend::HEIGHT + ROW_GAP;
    let bottom = grid_y + if shown == 0 { LINE } else { shown * row_height - ROW_GAP };
    let has_nan = kernels(rows).any(has_nan);
    let nan_height = if has_nan { NAN_HEIGHT } else { 0 };
    let width = grid_width.max(heading.width()) + 2 * MARGIN;
    let mut picture = Picture::new(width, bottom + nan_height + MARGIN);
    heading.draw(&mut picture, (MARGIN, MARGIN));

    let mut x = MARGIN;
    for (network, column) in columns.iter().enumerate() {
        for (line, (face, color, text)) in column.head.iter().enumerate() {
            let at = (x + column.width / 2, head_y + line * LINE);
            picture.text(at, Align::Center, *face, *color, text);
        }
        let bar_width = (column.width - 2 * legend::OVERHANG).min(legend::SIGNED_WIDTH) / 2 * 2 - 1;
        let bar_x = x + (column.width - bar_width) / 2;
        legend::signed_bar_of(&mut picture, (bar_x, bar_y), bar_width, rows.limits[network]);
        for (n, row) in rows.rows.iter().take(shown).enumerate() {
            let y = grid_y + n * row_height;
            let middle = x + column.width / 2;
            if let Some(filter) = row.filter(network) {
                let multiples = fit(filter);
                let at = (middle - multiples.size().0 / 2, y + (kernel_height - multiples.size().1) / 2);
                multiples.draw(&mut picture, at, filter, rows.limits[network]);
            }
            let label = &labels[n][network];
            let label_y = if row.filter(network).is_some() { y + kernel_height + 8 } else { y + kernel_height / 2 };
            for (line, (face, color, text)) in label.iter().enumerate() {
                picture.text((middle, label_y + line * LINE), Align::Center, *face, *color, text);
            }
        }
        x += column.width + GAP;
    }
    if shown == 0 {
        picture.text((MARGIN, grid_y), Align::Left, Face::Regular, SOFT_INK, "no filters");
    }
    if has_nan {
        legend::not_a_number(&mut picture, (MARGIN, bottom + 12));
    }
    picture
}

fn check(rows: &Rows) {
    let others = rows.networks.len().saturating_sub(1);
    assert_eq!(rows.limits.len(), rows.networks.len(), "each network has a scale");
    assert_eq!(rows.recur.len(), others, "each network but the first has a count");
    for row in &rows.rows {
        assert_eq!(row.twins.len(), others, "filter {} has a place in each other network", row.first.number);
    }
}

fn notes(rows: &Rows, shown: usize) -> Vec<String> {
    let alike = Recurrence::ALIKE;
    let mut notes = vec![
        format!("{shown} of {} filters shown; each network has its own scale.", rows.of),
        format!(
            "In each row a filter of the first network and in each other network the one that is its nearest as it \
             is that one's, with their correlations. A filter recurs if all of them are at least {alike}. By chance: so many recur between networks before training."
        ),
    ];
    notes.extend(sees_some(kernels(rows)));
    notes
}

impl Row {
    /// The filter of a network, the first being 0.
    fn filter(&self, network: usize) -> Option<&Filter> {
        match network.checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.twins[other].as_ref().map(|(filter, ..)| filter),
        }
    }
}

fn kernels(rows: &Rows) -> impl Iterator<Item = &Filter> {
    rows.rows.iter().flat_map(|row| (0..=row.twins.len()).filter_map(|network| row.filter(network)))
}

fn fit(filter: &Filter) -> Multiples {
    Multiples::fit(filter, if filter.channels == 1 { 120 } else { 176 })
}

/// For each network the words below its filter in a row.
fn labels(row: &Row) -> Vec<Vec<Words>> {
    let bold = |filter: &Filter| (Face::Bold, INK, name(filter));
    let regular = |text: String| (Face::Regular, INK, text);
    let twin = |twin: &Option<(Filter, Option<f64>, f64)>| match twin {
        Some((filter, by_kernel, by_response)) => {
            let by_kernel = by_kernel.map(|by_kernel| regular(format!("kernel {}", correlation(by_kernel))));
            let by_response = regular(format!("response {}", correlation(*by_response)));
            [bold(filter)].into_iter().chain(by_kernel).chain([by_response]).collect()
        }
        None => vec![(Face::Regular, SOFT_INK, "none".to_owned())],
    };
    std::iter::once(vec![bold(&row.first)]).chain(row.twins.iter().map(twin)).collect()
}

/// A correlation with two decimals.
fn correlation(value: f64) -> String {
    if value.is_finite() {
        // Adding zero makes the zero of a small negative number positive.
        format!("{:.2}", (value * 100.0).round() / 100.0 + 0.0)
    } else {
        NONE.to_owned()
    }
}

/// A network's column.
struct Column {
    /// The words above it.
    head: Vec<Words>,
    width: usize,
    kernel_height: usize,
}

impl Column {
    fn of(rows: &Rows, network: usize) -> Column {
        let sizes = || rows.rows.iter().filter_map(|row| row.filter(network)).map(|filter| fit(filter).size());
        let labels = rows.rows.iter().flat_map(|row| labels(row).swap_remove(network));
        let labels_width = labels.map(|(face, _, text)| face.text_width(&text)).max().unwrap_or(0);
        let kernel_width = sizes().map(|(width, _)| width).max().unwrap_or(0);
        let width = kernel_width.max(labels_width).max(LOWEST_COLUMN);
        let lines = |face: Face, color, text: &str| {
            wrap(text, width / face.width()).into_iter().map(move |line| (face, color, line))
        };
        let counts = match network.checked_sub(1).map(|other| rows.recur[other]) {
            Some((recur, by_chance)) => [format!("{recur} of {} recur", rows.of), format!("{by_chance} by chance")],
            None => ["the first network".to_owned(), format!("{} filters", rows.of)],
        };
        let head = lines(Face::Bold, INK, &rows.networks[network]);
        let head = head.chain(counts.iter().flat_map(|count| lines(Face::Regular, INK, count))).collect();
        Column { head, width, kernel_height: sizes().map(|(_, height)| height).max().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{fingerprint, has_margin};

    fn filter(number: usize, channels: usize, side: usize) -> Filter {
        let weight = |n: usize| ((n * 37 + number * 11) % 41) as f32 / 20.0 - 1.0;
        let weights = (0..channels * side * side).map(weight).collect();
        Filter { number, channels, first_channel: None, height: side, width: side, weights }
    }

    fn made_up(count: usize, networks: usize, channels: usize, side: usize) -> Rows {
        let twin = |number: usize, network: usize| {
            let kernel = (channels == 1).then_some(0.97 - number as f64 / 20.0);
            (!(number + network).is_multiple_of(4)).then(|| (filter(number + network, channels, side), kernel, 0.951))
        };
        let row = |number: usize| Row {
            first: filter(number, channels, side),
            twins: (1..networks).map(|network| twin(number, network)).collect(),
        };
        Rows {
            title: "Filters of conv1 in several networks".to_owned(),
            networks: (0..networks).map(|network| format!("cnn2-dropout-b50 seed {network}")).collect(),
            limits: (0..networks).map(|network| 1.0 + network as f32 / 10.0).collect(),
            of: 32,
            recur: (1..networks).map(|network| (20 - network, network)).collect(),
            rows: (0..count).map(row).collect(),
        }
    }

    #[test]
    fn the_words_of_a_row_say_how_much_alike() {
        let mut rows = made_up(1, 4, 1, 5);
        rows.rows[0].twins[0] = Some((filter(7, 1, 5), None, -0.001));
        rows.rows[0].twins[1] = Some((filter(8, 1, 5), Some(0.966), f64::NAN));
        rows.rows[0].twins[2] = None;
        let texts: Vec<Vec<String>> =
            labels(&rows.rows[0]).into_iter().map(|words| words.into_iter().map(|word| word.2).collect()).collect();
        let expected: [&[&str]; 4] =
            [&["filter 0"], &["filter 7", "response 0.00"], &["filter 8", "kernel 0.97", "response -"], &["none"]];
        assert_eq!(texts, expected);
    }

    #[test]
    fn each_network_has_its_own_scale() {
        let mut rows = made_up(1, 2, 1, 5);
        rows.rows[0].first.weights.fill(0.5);
        let mut twin = filter(1, 1, 5);
        twin.weights.fill(-0.5);
        rows.rows[0].twins[0] = Some((twin, Some(1.0), 1.0));
        rows.limits = vec![0.5, 2.0];
        let picture = draw(&rows);
        let count = |color| picture.pixels().chunks(3).filter(|pixel| *pixel == color).count();
        assert!(count(crate::colormap::diverging(0.5, 0.5)) >= 120 * 120);
        assert!(count(crate::colormap::diverging(-0.5, 2.0)) >= 120 * 120);
    }

    #[test]
    fn the_picture_is_pinned() {
        let pictures = [draw(&made_up(4, 5, 1, 5)), draw(&made_up(3, 3, 32, 5))];
        let looked_at = [12285976296362762614, 2600398136411030609];
        assert_eq!(
            pictures.each_ref().map(fingerprint),
            looked_at,
            "looked at and found good? then pin the new values"
        );
        assert_eq!(recurrence(&made_up(1, 2, 1, 5)), draw(&made_up(1, 2, 1, 5)).png());
    }

    #[test]
    fn odd_rows_are_drawn_and_nothing_is_cut_off() {
        let mut odd = made_up(2, 3, 1, 5);
        odd.networks[1] = "a".repeat(300);
        odd.limits[2] = f32::NAN;
        odd.rows[0].first.weights[3] = f32::NAN;
        odd.rows[1].twins[0] = Some((filter(7, 3, 28), None, f64::NAN));
        for rows in [odd, made_up(0, 3, 1, 5), made_up(2, 1, 1, 5), made_up(0, 0, 1, 5), made_up(1, 2, 1, 0)] {
            assert!(has_margin(&draw(&rows), MARGIN - 4), "{:?}", rows.networks);
        }
        let many = draw(&made_up(1024, 10, 1, 5));
        assert!(many.width() * many.height() <= LARGEST_AREA, "{} {}", many.width(), many.height());
    }
}
