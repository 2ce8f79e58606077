//! The sentences and tables of a comparison.

use tenfold_study::comparison::{Comparison, Interval, PairStatistics, RecipeStatistics, Verdict};
use tenfold_study::metrics::Metrics;
use tenfold_study::record::{Environment, Machines, RecipeRecord, SeedViews, Status, StudyRecord, TrialRecord};

use super::differences::{Difference, Kind, differences, environment};
use super::document::{Align, Block, Column, Document, Table};
use super::{Compared, SameImages, TestUse, verdict};
use crate::format::{NONE, balanced_accuracy, change_in_points, count, listed, percent, points, seconds};
use crate::text::{above_chance, seconds_range, trim_number};

/// Headings by which a part of the document is found.
pub(crate) const SIZE: &str = "Size and training";
pub(crate) const ORIGIN: &str = "Where this comes from";

/// The comparison as sentences and tables: differing settings first, then what makes results unlike, then results.
pub fn document(compared: &Compared) -> Document {
    let mut blocks = vec![Block::Heading(title(compared))];
    blocks.extend(stamps(compared));
    let differences = differences(compared);
    if compared.studies.len() > 1 {
        blocks.extend(differing(compared, &differences));
    }
    for set in &compared.sets {
        if compared.sets.len() > 1 {
            blocks.push(Block::Heading(format!("Test images of {}", names(compared, set))));
        } else if compared.studies.len() > 1 {
            blocks.push(Block::Heading("Results".to_owned()));
        }
        blocks.extend(results(compared, set, &differences));
    }
    blocks.push(Block::Heading(ORIGIN.to_owned()));
    blocks.push(Block::List(origins(compared)));
    Document { blocks }
}

fn title(compared: &Compared) -> String {
    let studies: Vec<&str> = compared.studies.iter().map(|study| study.name.as_str()).collect();
    format!("Comparison of {}", listed(&studies))
}

fn names(compared: &Compared, set: &SameImages) -> String {
    listed(&set.studies.iter().map(|&n| compared.studies[n].name.as_str()).collect::<Vec<_>>())
}

/// A warning for each study in which a choice was made by test.
fn stamps(compared: &Compared) -> Vec<Block> {
    let stamped = compared.studies.iter().filter(|study| TestUse::of(study.record).chosen_by_test);
    let names: Vec<&str> = stamped.map(|study| study.name.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![Block::Paragraph(format!("CHOSEN BY TEST: a choice was made by test accuracy in {}.", listed(&names)))]
}

fn differing(compared: &Compared, differences: &[Difference]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading("What differs".to_owned())];
    let settings: Vec<Vec<String>> = differences
        .iter()
        .filter(|difference| difference.recipe.is_some())
        .flat_map(|difference| {
            difference.values.iter().enumerate().map(|(n, value)| {
                let once = |text: &str| if n == 0 { text.to_owned() } else { String::new() };
                let recipe = once(difference.recipe.as_deref().unwrap_or_default());
                vec![recipe, once(&difference.what), value.study.clone(), value.value.clone()]
            })
        })
        .collect();
    if !settings.is_empty() {
        let columns = ["recipe", "setting", "study", "value"].map(left).to_vec();
        blocks.push(Block::Table(Table { columns, rows: settings }));
    }
    let mut sentences = Vec::new();
    let all = || compared.sets.iter().flat_map(|set| &set.recipes);
    let studies_of = |name: &str| all().filter(|recipe| recipe.record.name == name).count();
    let mut shared: Vec<&str> = all().map(|r| r.record.name.as_str()).filter(|name| studies_of(name) > 1).collect();
    shared.sort_unstable();
    shared.dedup();
    if shared.is_empty() {
        sentences.push("No recipe has the same name in two studies, so no settings are set side by side.".to_owned());
    } else if !differences.iter().any(|difference| difference.recipe.is_some()) {
        sentences.push(format!("Recipes of the same name have the same settings: {}.", shared.join(", ")));
    }
    for (n, study) in compared.studies.iter().enumerate() {
        let alone = all().filter(|recipe| recipe.study == n && studies_of(&recipe.record.name) == 1);
        let alone: Vec<&str> = alone.map(|recipe| recipe.record.name.as_str()).collect();
        if !alone.is_empty() && !shared.is_empty() {
            sentences.push(format!("Only {} has {}.", study.name, alone.join(", ")));
        }
    }
    for difference in differences {
        let values: Vec<String> =
            difference.values.iter().map(|value| format!("{}: {}", value.study, value.value)).collect();
        let values = values.join("; ");
        match difference.kind {
            Kind::Setting => {}
            Kind::Precision => {
                let recipe = difference.recipe.as_deref().unwrap_or_default();
                sentences.push(format!("OTHER PRECISION of {recipe}: part of any difference may be rounding."));
            }
            Kind::Data => sentences.push(format!(
                "OTHER DATA: test accuracies are not on the same images, so nothing tests a recipe of one against one of \
                 the other. {values}."
            )),
            Kind::Split => sentences.push(format!(
                "OTHER SPLIT: validation accuracies are not on the same images, and a choice between studies rests on \
                 unlike figures. {values}."
            )),
            Kind::Machine => sentences.push(format!(
                "OTHER MACHINE, THREADS OR VERSION: times are compared only where these are the same. {values}."
            )),
        }
    }
    blocks.push(Block::List(sentences));
    blocks
}

fn results(compared: &Compared, set: &SameImages, differences: &[Difference]) -> Vec<Block> {
    let comparison = &set.comparison;
    let mut blocks = vec![Block::Paragraph(what_was_measured(compared, set))];
    let mut recipes: Vec<&RecipeStatistics> = Vec::new();
    for name in comparison.groups.iter().flatten() {
        recipes.extend(comparison.recipes.iter().find(|recipe| recipe.recipe == *name));
    }
    for recipe in &comparison.recipes {
        if !recipes.iter().any(|other| other.recipe == recipe.recipe) {
            recipes.push(recipe);
        }
    }
    if recipes.len() > 1 && !comparison.groups.is_empty() {
        blocks.push(Block::List(groups(comparison)));
        if recipes.iter().all(|recipe| recipe.seeds.len() == 1) {
            let words = "One seed each: this is about the trained networks, and another seed may turn it round; more seeds \
                         (tenfold run --seeds N) tell of the recipes.";
            blocks.push(Block::Paragraph(words.to_owned()));
        }
    }
    blocks.extend(choice(set, differences));
    if !recipes.is_empty() {
        blocks.push(Block::Table(accuracies(&recipes)));
        blocks.push(Block::List(accuracy_notes(set)));
    }
    blocks.extend(pairs(comparison));
    blocks.extend(ensembles(set, &recipes));
    blocks.extend(views(set, &recipes));
    if !recipes.is_empty() {
        blocks.push(Block::Heading(SIZE.to_owned()));
        blocks.push(Block::Table(sizes(set, &recipes)));
        blocks.extend(times(set, &recipes));
        blocks.extend(targets(&recipes));
    }
    let missing = missing(compared, set, &recipes);
    if !missing.is_empty() {
        blocks.push(Block::List(missing));
    }
    blocks
}

fn what_was_measured(compared: &Compared, set: &SameImages) -> String {
    let comparison = &set.comparison;
    let trials: usize = comparison.recipes.iter().map(|recipe| recipe.seeds.len()).sum();
    let images = set.studies.first().map_or(0, |&n| compared.studies[n].record.dataset.test);
    let writers = match (comparison.writers, comparison.image_groups) {
        (Some(n), _) => format!(" by {}", plural(n as u64, "writer")),
        (None, Some(n)) => format!(" in {}", plural(n as u64, "group")),
        (None, None) => String::new(),
    };
    let only = if compared.some_only {
        " Only these recipes were asked for; p-values are adjusted for them alone."
    } else {
        ""
    };
    format!(
        "{}, {}, measured on {}{writers}. A difference of up to {} counts as none.{only}",
        plural(comparison.recipes.len() as u64, "recipe"),
        plural(trials as u64, "finished trial"),
        plural(images as u64, "test image"),
        points_of_margin(comparison.margin),
    )
}

fn points_of_margin(margin: f64) -> String {
    // The shortest decimal that is as good as the number: 0.001 * 100 is not quite 0.1.
    let points = (margin * 1e8).round() / 1e6;
    format!("{points} {}", if points == 1.0 { "point" } else { "points" })
}

fn groups(comparison: &Comparison) -> Vec<String> {
    let mean = |name: &str| comparison.recipes.iter().find(|r| r.recipe == name).map(|r| r.accuracy.mean);
    let line = |(n, group): (usize, &Vec<String>)| {
        let place = match n {
            0 => "Leading on test".to_owned(),
            _ => format!("Group {}", n + 1),
        };
        let members: Vec<String> =
            group.iter().map(|name| format!("{name} ({})", mean(name).map_or(NONE.to_owned(), percent))).collect();
        let tie = match group.len() {
            1 => String::new(),
            2 => format!(", a tie: the second is not shown to be worse{}", beyond(comparison, &group[0], group)),
            _ => format!(", ties: none is shown to be worse than the first{}", beyond(comparison, &group[0], group)),
        };
        format!("{place}: {}{tie}{}", members.join(", "), not_worse(comparison, n))
    };
    comparison.groups.iter().enumerate().map(line).collect()
}

/// Of the recipes of a group, those that are not shown to be worse than the first of an earlier one: "worse" does not
/// carry over where seeds are few.
fn not_worse(comparison: &Comparison, group: usize) -> String {
    let earlier = comparison.groups[..group].iter().filter_map(|group| group.first());
    let mut sentences = String::new();
    for first in earlier {
        let tied = |name: &&String| between(comparison, first, name).is_some_and(|pair| !pair.verdict.favours_one());
        let names: Vec<String> = comparison.groups[group].iter().filter(tied).cloned().collect();
        if !names.is_empty() {
            let are = if names.len() == 1 { "is" } else { "are" };
            let listed = listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let beyond = beyond(comparison, first, &names);
            sentences.push_str(&format!("; {listed} {are} not shown to be worse than {first}{beyond}"));
        }
    }
    sentences
}

/// Follows "not shown to be worse": what is equivalent to `first` may be shown to be worse, but only within the margin.
fn beyond(comparison: &Comparison, first: &str, names: &[String]) -> String {
    let equivalent = |name: &String| {
        let verdict = between(comparison, first, name).map(|pair| pair.verdict);
        matches!(verdict, Some(Verdict::EquivalentWithinTheMargin | Verdict::NetworkEquivalentWithinTheMargin))
    };
    if names.iter().any(equivalent) {
        format!(" by more than {}", points_of_margin(comparison.margin))
    } else {
        String::new()
    }
}

/// The pair of these two recipes.
fn between<'a>(comparison: &'a Comparison, one: &str, other: &str) -> Option<&'a PairStatistics> {
    let of = |pair: &&PairStatistics| {
        let sides = [pair.first.as_str(), pair.second.as_str()];
        sides == [one, other] || sides == [other, one]
    };
    comparison.pairs.iter().find(of)
}

fn choice(set: &SameImages, differences: &[Difference]) -> Vec<Block> {
    let Some(choice) = &set.comparison.choice else { return Vec::new() };
    let leading: Vec<&str> = choice.leading.iter().map(String::as_str).collect();
    let several = set.studies.len() > 1;
    let apart = |kind| several && differences.iter().any(|difference| difference.kind == kind);
    let fastest = match &choice.fastest {
        Some(name) => name,
        None => {
            let leading = set.comparison.recipes.iter().filter(|recipe| choice.leading.contains(&recipe.recipe));
            match set.clocks(leading).len() {
                0 => "not known, because no time can be trusted",
                1 => "not said, because not all have a time that can be trusted",
                _ => "not said, because they were trained on other processors, threads or versions",
            }
        }
    };
    let unlike =
        if apart(Kind::Split) { " The studies have other validation images: take this with care." } else { "" };
    let text = match leading.as_slice() {
        [one] => format!("Chosen on validation: {one}; on these validation images no other comes up to it.{unlike}"),
        _ => format!(
            "Chosen on validation: highest: {}; smallest in the leading group: {}; fastest: {fastest}. The leading group, \
             which validation does not tell apart: {}.{unlike}",
            choice.highest,
            choice.smallest,
            leading.join(", ")
        ),
    };
    // Of one recipe there is nothing to choose.
    if set.comparison.recipes.len() < 2 { Vec::new() } else { vec![Block::Paragraph(text)] }
}

fn accuracies(recipes: &[&RecipeStatistics]) -> Table {
    let columns = vec![
        left("recipe"),
        right("seeds"),
        right("test\naccuracy"),
        right("sd"),
        right("many seeds,\nthese images"),
        right("new seeds,\nnew images"),
        right("balanced\naccuracy"),
    ];
    let row = |recipe: &&RecipeStatistics| {
        vec![
            recipe.recipe.clone(),
            recipe.seeds.len().to_string(),
            percent(recipe.accuracy.mean),
            recipe.accuracy.sd.map_or(NONE.to_owned(), |sd| format!("{:.2}", sd * 100.0)),
            shares(recipe.accuracy.seeds),
            shares(recipe.accuracy.new),
            percent(recipe.balanced_accuracy.mean),
        ]
    };
    Table { columns, rows: recipes.iter().map(row).collect() }
}

fn accuracy_notes(set: &SameImages) -> Vec<String> {
    let comparison = &set.comparison;
    let level = level(comparison);
    let (occurring, classes) = set.recipes.iter().find_map(|recipe| recipe.record.occurring()).unwrap_or((0, 0));
    let balanced = balanced_accuracy(occurring, classes);
    let mut notes = vec![
        format!("sd: standard deviation over seeds, in points; balanced accuracy: {balanced}"),
        format!("many seeds, these images: where the mean of many seeds lies on these images ({level} interval)"),
    ];
    let one = comparison.recipes.iter().any(|recipe| recipe.seeds.len() == 1);
    let one = if one { "; with one seed, for that network" } else { "" };
    let how = format!("{}{one}", resampling(comparison));
    notes.push(format!("new seeds, new images: where it lies for images not seen yet ({level} interval; {how})"));
    notes
}

/// What a bootstrap draws.
fn drawn(comparison: &Comparison) -> &'static str {
    match (comparison.writers, comparison.image_groups) {
        (Some(_), _) => "writers",
        (None, Some(_)) => "groups",
        (None, None) => "images",
    }
}

/// Why nothing is drawn from the test images, where all of them belong together.
fn alone(comparison: &Comparison) -> Option<&'static str> {
    match (comparison.writers, comparison.image_groups) {
        (Some(1), _) => Some("the test images are all by one writer, who says nothing of others"),
        (None, Some(1)) => Some("the test images are all of one group, which says nothing of others"),
        (None, None) if comparison.images == 1 => Some("there is one test image, which says nothing of others"),
        _ => None,
    }
}

/// How intervals for new images are made.
fn resampling(comparison: &Comparison) -> String {
    let over = drawn(comparison);
    match (comparison.resamples, alone(comparison)) {
        (0, Some(alone)) => format!("Wilson's, and for one seed alone: {alone}"),
        (0, None) => "Wilson's, for one seed: there are no predictions to resample".to_owned(),
        (n, _) => format!("spread over seeds and a bootstrap over {over}, {} resamples", count(n as u64)),
    }
}

fn level(comparison: &Comparison) -> String {
    format!("{} %", trim_number((comparison.level * 1e4).round() / 100.0))
}

/// A pair with the higher accuracy first.
struct Ordered<'a> {
    higher: &'a str,
    lower: &'a str,
    flipped: bool,
    pair: &'a PairStatistics,
}

impl Ordered<'_> {
    fn new(pair: &PairStatistics) -> Ordered<'_> {
        let flipped = pair.difference < 0.0;
        let (higher, lower) = if flipped { (&pair.second, &pair.first) } else { (&pair.first, &pair.second) };
        Ordered { higher, lower, flipped, pair }
    }

    fn interval(&self, interval: Interval) -> String {
        let Interval { low, high } = interval;
        let (low, high) = if self.flipped { (-high, -low) } else { (low, high) };
        format!("{} to {}", end(low), end(high))
    }

    /// An interval with a mark where it excludes 0 though its adjusted p-value, `p`, does not count.
    fn marked(&self, interval: Interval, p: f64, comparison: &Comparison) -> String {
        let excludes_zero = interval.low > 0.0 || interval.high < 0.0;
        let mark = if excludes_zero && p >= 1.0 - comparison.level { MARK } else { "" };
        self.interval(interval) + mark
    }
}

/// Stands at an interval that seems to say more than its p-value.
const MARK: &str = "*";

/// The end of an interval in points: with as many decimals as tell it from 0, because on which side of 0 it is decides.
fn end(difference: f64) -> String {
    let of = |decimals: usize| points(difference, decimals);
    let is_zero = |text: &String| text.chars().all(|c| matches!(c, '0' | '.'));
    (2..=9).map(of).find(|text| !is_zero(text)).unwrap_or_else(|| of(2))
}

fn pairs(comparison: &Comparison) -> Vec<Block> {
    if comparison.pairs.is_empty() {
        return Vec::new();
    }
    let place = |name: &str| {
        let mut in_order = comparison.groups.iter().flatten();
        in_order.position(|other| other == name).unwrap_or(usize::MAX)
    };
    let mut ordered: Vec<Ordered> = comparison.pairs.iter().map(Ordered::new).collect();
    ordered.sort_by_key(|pair| (place(pair.higher), place(pair.lower)));
    let mut blocks = vec![Block::Heading("Pairs".to_owned()), Block::Table(verdicts(&ordered))];

    blocks.push(Block::List(verdict_notes(comparison)));
    let one_seed: Vec<&Ordered> = ordered.iter().filter(|pair| pair.pair.one_seed.is_some()).collect();
    let tested = |pair: &&Ordered| pair.pair.these_images.is_some() || pair.pair.new_images.is_some();
    let many: Vec<&Ordered> = ordered.iter().filter(|pair| pair.pair.one_seed.is_none()).filter(tested).collect();
    if !many.is_empty() {
        let table = differences_in_numbers(&many, comparison);
        let marked = mark_note(&table, comparison);
        blocks.push(Block::Table(table));
        blocks.push(Block::List([pair_notes(comparison), marked].concat()));
    }
    if !one_seed.is_empty() {
        let table = networks(&one_seed, comparison);
        let marked = mark_note(&table, comparison);
        blocks.push(Block::Table(table));
        blocks.push(Block::List([network_notes(comparison), marked].concat()));
    }
    let others = [equivalent(&ordered, comparison), untested(&ordered, comparison)].concat();
    if !others.is_empty() {
        blocks.push(Block::List(others));
    }
    blocks
}

/// What the mark at an interval means, where the table has one.
fn mark_note(table: &Table, comparison: &Comparison) -> Vec<String> {
    if !table.rows.iter().flatten().any(|cell| cell.ends_with(MARK)) {
        return Vec::new();
    }
    let alpha = alpha(comparison);
    vec![format!(
        "{MARK}: the interval excludes 0 when this pair is taken by itself, but of {} one may do so by chance; adjusted for that, \
         p is not below {alpha}, and p decides",
        plural(comparison.pairs.len() as u64, "pair")
    )]
}

/// The intervals that equivalence is judged by, which are shorter than the others.
fn equivalent(pairs: &[Ordered], comparison: &Comparison) -> Vec<String> {
    let named = |pair: &Ordered| {
        let of =
            matches!(pair.pair.verdict, Verdict::EquivalentWithinTheMargin | Verdict::NetworkEquivalentWithinTheMargin);
        let interval = pair.pair.equivalence.filter(|_| of)?;
        Some(format!("{} - {} ({})", pair.higher, pair.lower, pair.interval(interval)))
    };
    let named: Vec<String> = pairs.iter().filter_map(named).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let level = trim_number(((1.0 - 2.0 * (1.0 - comparison.level)) * 1e4).round() / 100.0);
    let margin = points_of_margin(comparison.margin);
    vec![format!("equivalent, by {level} % intervals within {margin}: {}", named.join(", "))]
}

/// Pairs that there is no test of.
fn untested(pairs: &[Ordered], comparison: &Comparison) -> Vec<String> {
    let none = |pair: &&Ordered| {
        pair.pair.these_images.is_none() && pair.pair.new_images.is_none() && pair.pair.one_seed.is_none()
    };
    let named: Vec<String> =
        pairs.iter().filter(none).map(|pair| format!("{} - {}", pair.higher, pair.lower)).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let why = alone(comparison).unwrap_or(
        "a test takes at least two seeds of both recipes, or one of each, with what they said of each test image",
    );
    vec![format!("not tested: {}; {why}", named.join(", "))]
}

fn verdicts(pairs: &[Ordered]) -> Table {
    let columns = vec![left("higher"), left("lower"), right("points"), left("the higher is")];
    let row = |pair: &Ordered| {
        vec![
            pair.higher.to_owned(),
            pair.lower.to_owned(),
            points(pair.pair.difference.abs(), 2),
            verdict(pair.pair).replace(" or ", "\nor "),
        ]
    };
    Table { columns, rows: pairs.iter().map(row).collect() }
}

/// What the verdicts mean that occur.
fn verdict_notes(comparison: &Comparison) -> Vec<String> {
    let margin = points_of_margin(comparison.margin);
    let all = [
        (Verdict::Better, "better: shown for new images and new seeds".to_owned()),
        (
            Verdict::BetterOnTheseImagesOnly,
            "better on these images only: shown for many seeds on these images; for new images it is not shown".to_owned(),
        ),
        (
            Verdict::NetworkBetter,
            "the better network: with one seed each, this trained network is shown to be better, on these images and for new \
             ones; of the recipes that says nothing, because another seed may turn it round"
                .to_owned(),
        ),
        (
            Verdict::NetworkEquivalentWithinTheMargin,
            format!("an equivalent network within the margin: with one seed each, the difference of the two trained networks for \
             new images is shown to be at most {margin}, each pair by itself; of the recipes that says nothing"),
        ),
        (
            Verdict::EquivalentWithinTheMargin,
            format!("equivalent within the margin: the difference for new images is shown to be at most {margin}, each pair by itself"),
        ),
        (
            Verdict::NotResolved,
            "not resolved: a difference is neither shown nor ruled out; about so many more seeds of each would show a difference \
             of this size, or of the margin if that is larger, on these images, so many more test images for new ones"
                .to_owned(),
        ),
    ];
    let occurs = |verdict: Verdict| comparison.pairs.iter().any(|pair| pair.verdict == verdict);
    all.into_iter().filter(|(verdict, _)| occurs(*verdict)).map(|(_, note)| note).collect()
}

fn differences_in_numbers(pairs: &[&Ordered], comparison: &Comparison) -> Table {
    let columns = vec![
        left("higher\n- lower"),
        right("these images,\nmany seeds"),
        right("p"),
        right("new images,\nnew seeds"),
        right("p"),
        right("wins"),
    ];
    let row = |pair: &&Ordered| {
        let these = pair.pair.these_images;
        let new = pair.pair.new_images;
        let wins = pair.pair.first_beats_second;
        let wins = if pair.flipped { 1.0 - wins } else { wins };
        vec![
            format!("{}\n- {}", pair.higher, pair.lower),
            these.map_or(NONE.to_owned(), |test| pair.marked(test.interval, test.p_holm, comparison)),
            these.map_or(NONE.to_owned(), |test| p(test.p_holm)),
            new.map_or(NONE.to_owned(), |test| pair.marked(test.interval, test.p_holm, comparison)),
            new.map_or(NONE.to_owned(), |test| p(test.p_holm)),
            if wins.is_finite() { format!("{:.0}%", wins * 100.0) } else { NONE.to_owned() },
        ]
    };
    Table { columns, rows: pairs.iter().map(row).collect() }
}

fn pair_notes(comparison: &Comparison) -> Vec<String> {
    let level = level(comparison);
    let all = plural(comparison.pairs.len() as u64, "pair");
    let alpha = alpha(comparison);
    let mut notes = vec![
        format!(
            "differences in points, as {level} intervals; p is adjusted for {all} (Holm): below {alpha} counts; for the \
             verdict better, every p of the row has to be"
        ),
        format!("these images: Welch's t-test over seeds; new images: {}", resampling(comparison)),
        "wins: how often one training of the higher beats one of the lower, by pairs of seeds, a tie counting half"
            .to_owned(),
    ];
    if comparison.pairs.iter().any(|pair| pair.new_images.is_some() && pair.these_images.is_none()) {
        notes.push("with fewer than 5 seeds of either there is no test on these images".to_owned());
    }
    notes
}

fn alpha(comparison: &Comparison) -> f64 {
    ((1.0 - comparison.level) * 1e6).round() / 1e6
}

fn networks(pairs: &[&Ordered], comparison: &Comparison) -> Table {
    let columns = vec![
        left("higher\n- lower"),
        right("only the\nhigher right"),
        right("only the\nlower right"),
        right("p"),
        right("new images,\nthese networks"),
        right("p"),
    ];
    let row = |pair: &&Ordered| {
        let Some(test) = pair.pair.one_seed else { return Vec::new() };
        let (higher, lower) =
            if pair.flipped { (test.only_second, test.only_first) } else { (test.only_first, test.only_second) };
        // Without the p-value, which earlier versions did not keep, nothing is to be marked.
        let new_p = test.new_images_p_holm;
        let interval = test.interval.map_or(NONE.to_owned(), |interval| {
            new_p.map_or(pair.interval(interval), |p| pair.marked(interval, p, comparison))
        });
        let names = format!("{}\n- {}", pair.higher, pair.lower);
        vec![names, count(higher), count(lower), p(test.p_holm), interval, new_p.map_or(NONE.to_owned(), p)]
    };
    Table { columns, rows: pairs.iter().map(row).collect() }
}

fn network_notes(comparison: &Comparison) -> Vec<String> {
    let (level, alpha) = (level(comparison), alpha(comparison));
    let all = plural(comparison.pairs.len() as u64, "pair");
    let over = drawn(comparison);
    vec![
        "one seed each: the tests are about these two trained networks and say nothing about training again".to_owned(),
        format!(
            "images that only one of the two gets right, with McNemar's exact test; new images: the difference in points ({level} \
             interval, bootstrap over {over})"
        ),
        format!("each p is adjusted for {all} (Holm): below {alpha} counts; for the better network, both have to be"),
    ]
}

/// What the seeds of a recipe reach together, and what that costs.
fn ensembles(set: &SameImages, recipes: &[&RecipeStatistics]) -> Vec<Block> {
    let comparison = &set.comparison;
    let columns = vec![
        left("recipe"),
        right("seeds"),
        right("one seed,\nmean"),
        right("together"),
        right("points\nmore"),
        right("new\nimages"),
        right("training"),
        right("evaluation"),
    ];
    let row = |statistics: &&RecipeStatistics| {
        let record = set.recipe(&statistics.recipe)?.record;
        let ensemble = record.ensemble.as_ref()?;
        let (one, together) = (statistics.accuracy.mean, ensemble.test.accuracy);
        Some(vec![
            statistics.recipe.clone(),
            ensemble.seeds.len().to_string(),
            percent(one),
            percent(together),
            change_in_points(together - one, 2),
            shares(ensemble.test_accuracy_interval),
            seconds(ensemble.train_time_s),
            seconds(ensemble.evaluation_time_s),
        ])
    };
    let rows: Vec<Vec<String>> = recipes.iter().filter_map(row).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let (level, over) = (level(comparison), drawn(comparison));
    vec![
        Block::Heading("Seeds together".to_owned()),
        Block::Table(Table { columns, rows }),
        Block::List(vec![
            "together: test accuracy of the mean of the probabilities of all seeds, whatever each reached; nothing is chosen \
             by it, and `tenfold predict DIR:RECIPE` says the same"
                .to_owned(),
            format!(
                "new images: where that lies for images not seen yet, for these networks ({level} interval, bootstrap over {over})"
            ),
            "training, evaluation: time of all seeds, the latter on the test images".to_owned(),
        ]),
    ]
}

/// What test-time augmentation makes of the recipes that ask for it, and what it costs.
fn views(set: &SameImages, recipes: &[&RecipeStatistics]) -> Vec<Block> {
    let columns = vec![
        left("recipe"),
        right("views"),
        right("seeds"),
        right("test,\nplain"),
        right("with\nviews"),
        right("points\nmore"),
        right("on\nvalidation"),
        right("evaluation,\nplain"),
        right("with\nviews"),
    ];
    let mut ways = Vec::new();
    let mut row = |statistics: &&RecipeStatistics| {
        let record = set.recipe(&statistics.recipe)?.record;
        let found = record.test_time_augmentation.as_ref()?;
        let mean = |of: &dyn Fn(&SeedViews) -> f64| found.seeds.iter().map(of).sum::<f64>() / found.seeds.len() as f64;
        // Of the same seeds.
        let plain = |of: fn(&TrialRecord) -> Option<&Metrics>| {
            mean(&|seed| {
                let trial = record.finished().find(|trial| trial.seed == seed.seed);
                trial.and_then(of).map_or(f64::NAN, |metrics| metrics.accuracy)
            })
        };
        let (test, valid) = (plain(|trial| trial.test.as_ref()), plain(|trial| trial.valid.as_ref()));
        let (shown, shown_valid) = (mean(&|seed| seed.test.accuracy), mean(&|seed| seed.valid.accuracy));
        ways.push(format!("{}: {}", statistics.recipe, found.views));
        Some(vec![
            statistics.recipe.clone(),
            found.count.to_string(),
            found.seeds.len().to_string(),
            percent(test),
            percent(shown),
            change_in_points(shown - test, 2),
            change_in_points(shown_valid - valid, 2),
            seconds(mean(&|seed| seed.plain_evaluation_time_s)),
            seconds(mean(&|seed| seed.evaluation_time_s)),
        ])
    };
    let rows: Vec<Vec<String>> = recipes.iter().filter_map(&mut row).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    vec![
        Block::Heading("Test-time augmentation".to_owned()),
        Block::Table(Table { columns, rows }),
        Block::List(vec![
            "with views: each network is shown several views of an image, itself among them, and the mean of its probabilities counts; \
             means over the seeds. All other tables, verdicts and figures are without it, and nothing is chosen by it"
                .to_owned(),
            format!("views of {}", ways.join("; of ")),
            "on validation: points more on the validation images, by which to decide whether it pays".to_owned(),
            "evaluation: time on the test images, of one network".to_owned(),
        ]),
    ]
}

fn sizes(set: &SameImages, recipes: &[&RecipeStatistics]) -> Table {
    let columns = vec![
        left("recipe"),
        right("parameters"),
        right("multiply-\nadds"),
        right("validation\naccuracy"),
        right("epochs,\nmean"),
        right("range"),
        right("diverged"),
    ];
    let row = |recipe: &&RecipeStatistics| {
        let record = set.recipe(&recipe.recipe).map(|recipe| recipe.record);
        let epochs = record.and_then(|record| record.summary.as_ref()).map(|summary| summary.epochs);
        vec![
            recipe.recipe.clone(),
            record.map_or(NONE.to_owned(), |record| count(record.parameters)),
            record.map_or(NONE.to_owned(), |record| count(record.macs_forward)),
            percent(recipe.valid_accuracy.mean),
            epochs.map_or(NONE.to_owned(), |epochs| trim_number(epochs.mean)),
            epochs.map_or(NONE.to_owned(), |epochs| match epochs.low == epochs.high {
                true => trim_number(epochs.low),
                false => format!("{:.0}-{:.0}", epochs.low, epochs.high),
            }),
            recipe.diverged.len().to_string(),
        ]
    };
    Table { columns, rows: recipes.iter().map(row).collect() }
}

fn times(set: &SameImages, recipes: &[&RecipeStatistics]) -> Vec<Block> {
    let clocks = set.clocks(recipes.iter().copied());
    let mut columns = vec![
        left("recipe"),
        right("training\ntime, median"),
        right("range"),
        right("epoch"),
        right("trials\ntimed"),
        right("left\nout"),
    ];
    if clocks.len() > 1 {
        columns.push(left("on"));
    }
    let row = |recipe: &&RecipeStatistics| {
        let Some(time) = &recipe.time else {
            let mut row = vec![NONE.to_owned(); columns.len()];
            row[0].clone_from(&recipe.recipe);
            return row;
        };
        let trusted = !time.seeds.is_empty();
        let shown = |text: String| if trusted { text } else { NONE.to_owned() };
        let mut row = vec![
            recipe.recipe.clone(),
            shown(seconds(time.median_s)),
            shown(seconds_range(time.range_s.low, time.range_s.high)),
            shown(time.epoch_s.map_or(NONE.to_owned(), seconds)),
            time.seeds.len().to_string(),
            time.left_out.len().to_string(),
        ];
        if clocks.len() > 1 {
            let of = |machine: &Environment| clocks.iter().position(|clock| clock.is_like(machine));
            row.push(set.timed_on(recipe).and_then(of).map_or(NONE.to_owned(), |n| (n + 1).to_string()));
        }
        row
    };
    if recipes.iter().all(|recipe| recipe.time.is_none()) {
        return vec![Block::Paragraph("No training time can be trusted, so none is compared.".to_owned())];
    }
    let rows = recipes.iter().map(row).collect();
    let mut blocks = vec![Block::Table(Table { columns, rows })];
    if clocks.len() > 1 {
        let unlike = "The recipes were trained on machines of different kinds, so times are compared only where the number in \
                      the last column is the same:";
        let kinds = clocks.iter().enumerate().map(|(n, clock)| format!("{}: {}", n + 1, environment(clock)));
        blocks.push(Block::Paragraph(unlike.to_owned()));
        blocks.push(Block::List(kinds.collect()));
    }
    if recipes.iter().any(|recipe| recipe.time.as_ref().is_none_or(|time| !time.left_out.is_empty())) {
        blocks.push(Block::List(vec![
            "left out: trials whose time says little: other work ran beside them, they ran in parts, or on another \
             processor, number of threads or version than most"
                .to_owned(),
        ]));
    }
    blocks
}

fn targets(recipes: &[&RecipeStatistics]) -> Vec<Block> {
    let with: Vec<_> = recipes.iter().filter_map(|r| r.target.as_ref().map(|target| (r, target))).collect();
    if with.is_empty() {
        return Vec::new();
    }
    let columns = vec![
        left("recipe"),
        right("target on\nvalidation"),
        right("reached"),
        right("not\nreached"),
        right("median\nepochs"),
        right("median\ntime"),
    ];
    let rows = with.iter().map(|(recipe, target)| {
        vec![
            recipe.recipe.clone(),
            percent(target.target),
            target.reached.to_string(),
            target.censored.to_string(),
            target.median_epochs.map_or(NONE.to_owned(), trim_number),
            target.median_s.map_or(NONE.to_owned(), seconds),
        ]
    });
    let rows = rows.collect();
    let mut notes = Vec::new();
    for (recipe, target) in &with {
        if !target.reached_by.is_empty() {
            let by = target.reached_by.iter().map(|by| format!("{} {:.0}%", by.epoch, by.share * 100.0));
            let by = by.collect::<Vec<_>>().join(", ");
            notes.push(format!("{} had reached its target after epoch: {by} of trials", recipe.recipe));
        }
    }
    if with.iter().any(|(_, target)| target.censored > 0) {
        notes.push(
            "not reached: these trials would have needed longer; they count so in the medians (Kaplan and Meier), which \
             are missing where fewer than half reached the target"
                .to_owned(),
        );
    }
    let mut blocks = vec![Block::Table(Table { columns, rows })];
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    blocks
}

/// What is in no figure, or in them with a caveat.
fn missing(compared: &Compared, set: &SameImages, recipes: &[&RecipeStatistics]) -> Vec<String> {
    let mut sentences = Vec::new();
    for recipe in &set.recipes {
        let RecipeRecord { trials, .. } = recipe.record;
        let seeds = |status| {
            let trials = trials.iter().filter(|trial| trial.status == status);
            trials.map(|trial| trial.seed.to_string()).collect::<Vec<_>>()
        };
        let lost = trials.iter().filter(|trial| trial.far_above_chance).map(|trial| trial.seed.to_string());
        let lost: Vec<String> = lost.collect();
        let listed = |seeds: &[String]| format!("seed{} {}", if seeds.len() == 1 { "" } else { "s" }, seeds.join(", "));
        let (diverged, interrupted) = (seeds(Status::Diverged), seeds(Status::Interrupted));
        let mut why = Vec::new();
        if !recipes.iter().any(|with| with.recipe == recipe.name) {
            why.push("has no finished trial".to_owned());
        }
        if !diverged.is_empty() {
            why.push(format!("diverged, so in no accuracy: {}", listed(&diverged)));
        }
        if !lost.is_empty() {
            let classes = compared.studies[recipe.study].record.dataset.classes;
            why.push(format!("ended with a {}, counted all the same: {}", above_chance(classes), listed(&lost)));
        }
        if !interrupted.is_empty() {
            why.push(format!("not finished yet: {}", listed(&interrupted)));
        }
        if !why.is_empty() {
            sentences.push(format!("{}: {}", recipe.name, why.join("; ")));
        }
    }
    sentences
}

fn origins(compared: &Compared) -> Vec<String> {
    let mut lines = Vec::new();
    for study in &compared.studies {
        let record = study.record;
        let data = &record.dataset;
        lines.push(format!(
            "{}: {} ({} training, {} validation, {} test images), trained on {}. {}",
            study.name,
            data.name,
            count(data.train as u64),
            count(data.valid as u64),
            count(data.test as u64),
            machines(record).join(" and "),
            TestUse::of(record).sentence
        ));
    }
    lines
}

/// On what the trials of a study were run: a line for each kind of machine.
pub(crate) fn machines(record: &StudyRecord) -> Vec<String> {
    let kinds = record.machines();
    if kinds.is_empty() {
        return vec![environment(&record.environment)];
    }
    let line = |kind: &Machines| {
        let mut line = environment(kind.like);
        match &kind.hosts[..] {
            [] => {}
            [one] => line.push_str(&format!(", machine {one}")),
            some if some.len() <= HOSTS => line.push_str(&format!(", machines {}", listed(some))),
            many => {
                let more = many.len() - HOSTS;
                line.push_str(&format!(", machines {} and {more} more", many[..HOSTS].join(", ")));
            }
        }
        if kinds.len() > 1 {
            line.push_str(&format!(" ({})", plural(kind.trials as u64, "trial")));
        }
        line
    };
    kinds.iter().map(line).collect()
}

/// The most machines of a kind that are named.
const HOSTS: usize = 12;

fn left(heading: &'static str) -> Column {
    Column { heading, align: Align::Left }
}

fn right(heading: &'static str) -> Column {
    Column { heading, align: Align::Right }
}

fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

fn shares(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |Interval { low, high }| format!("{:.2}-{:.2}", low * 100.0, high * 100.0))
}

/// A p-value.
fn p(p: f64) -> String {
    if !p.is_finite() {
        NONE.to_owned()
    } else if p < 0.001 {
        "<0.001".to_owned()
    } else {
        // Two digits where there is a zero after the point, as in 0.034.
        let text = format!("{p:.*}", if p < 0.0995 { 3 } else { 2 });
        // What counts is not rounded to what does not.
        if p < 0.05 && text == "0.050" { "<0.05".to_owned() } else { text }
    }
}
