//! A study written out as a study file, with every default.

use std::fmt::Write as _;
use std::path::Path;

use tenfold_nn::data::Portion;
use tenfold_nn::model::Block;
use tenfold_nn::train::TrainSettings;
use toml::{Table, Value};

use super::read::VIEWS;
use super::{Study, key};
use crate::stop;

impl Study {
    /// The study as a study file with every default written out; it reads back as the same study.
    #[expect(clippy::missing_panics_doc, reason = "a String takes every write, and settings are plain values")]
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# Everything that was set, defaults included.\n");
        let string = |text: &str| Value::from(text).to_string();
        let mut line =
            |key: &str, value: String| writeln!(text, "{key} = {value}").expect("a String takes every write");
        line("name", string(&self.name));
        line("title", string(&self.title));
        line("\n[data]\nsplit_seed", self.data.split_seed.to_string());
        for (name, portion) in [("test", self.data.shares.test), ("valid", self.data.shares.valid)] {
            match portion {
                Portion::Count(count) => line(name, count.to_string()),
                Portion::Share(share) => line(&format!("{name}_share"), Value::from(share).to_string()),
            }
        }
        let mut data = Table::try_from(&self.data.options).expect("options have plain values");
        let mut set = |name: &str, value: Option<Value>| value.map(|value| data.insert(name.to_owned(), value));
        set("copies", Some(Value::from(self.data.options.copies.name())));
        set("path", self.data.path.as_deref().and_then(Path::to_str).map(Value::from));
        set("classes", self.data.classes.map(|classes| Value::from(classes as i64)));
        set("first_label", self.data.first_label.map(Value::from));
        data.iter().for_each(|(name, value)| line(name, inline(value)));
        for recipe in &self.recipes {
            line("\n[[recipe]]\nname", string(&recipe.name));
            line("title", string(&recipe.title));
            let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
            let layers = recipe.layers.iter().map(|block| match block {
                Block::Layer(layer) => string(&layer.to_string()),
                Block::Residual(layers) => list(layers.iter().map(|layer| string(&layer.to_string())).collect()),
            });
            line("layers", list(layers.collect()));
            let mut settings = Table::try_from(&recipe.settings).expect("settings have plain values");
            if let Some(target) = recipe.settings.target {
                settings.insert("target".to_owned(), stop::write(target).into());
            }
            // What is not set, such as patience, has no line.
            for name in TrainSettings::NAMES {
                if let Some(value) = settings.get(name) {
                    line(key(name), inline(value));
                }
            }
            if let Some(views) = &recipe.views {
                line(VIEWS, list(Vec::from(views.clone()).iter().map(|text| string(text)).collect()));
            }
        }
        text
    }
}

/// A value on one line, with the kind of a table first.
fn inline(value: &Value) -> String {
    let Value::Table(table) = value else { return value.to_string() };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| (*key != "kind", *key != "lr"));
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SMALL;

    #[test]
    fn a_study_written_out_reads_back_the_same() {
        let full = "name = \"full\"\ntitle = \"All \\\"quoted\\\" \\\\ things\"\n[data]\nvalid = 17\nsplit_seed = 3\n\
                    classes = 26\nfirst_label = 1\npath = \"my pictures\"\ntest_share = 0.3\nsize = [3, 4]\ncolumns = { label = \"breed\" }\n\
                    fit = \"crop\"\ncopies = \"identical\"\n[[recipe]]\nname = \"r\"\nlayers = [\"conv 3 5x3 stride 2 padding 1\", \"tanh\", \
                    \"avgpool 2\", \"dropout 0.3\", \"linear 26\"]\nbatch_size = 7\nepochs = 3\npatience = 2\n\
                    stop = \"valid_accuracy >= 0.5\"\ninit = \"kaiming\"\nclass_weights = \"balanced\"\npixels = { mean = 0.1307, std = 0.3081 }\n\
                    label_smoothing = 0.1\nclip_norm = 2\nema = 0.99\naugment = [\"flip\", \"shift 0.5\"]\n\
                    test_time_augmentation = [\"flip\", \"shift 2\"]\n\
                    optimizer = { kind = \"sgd\", lr = 1, momentum = 0.9, nesterov = true }\n\
                    schedule = { kind = \"one-cycle\", pct_start = 0.2 }\n[[recipe]]\nname = \"s\"\n\
                    layers = [\"linear 26\"]\noptimizer = { kind = \"adamw\", lr = 1e-7 }\n\
                    schedule = { kind = \"step\", every = 2, factor = 0.1 }\n\
                    pixels = { mean = [0.49, 0.5], std = [0.25, 1] }\n[[recipe]]\nname = \"t\"\n\
                    layers = [\"linear 26\"]\npixels = \"standard\"\naugment = \"characters\"\n[[recipe]]\nname = \"u\"\n\
                    layers = [\"linear 26\"]\npixels = \"unit\"\n[[recipe]]\nname = \"v\"\n\
                    layers = [\"conv 8 3x3 same\", [\"batchnorm momentum 0.2\", \"relu\", \"conv 8 3x3 same\"], \"linear 26\"]\n";
        for study in [
            Study::parse(full, "full.toml").unwrap(),
            Study::parse(SMALL, "mine.toml").unwrap(),
            Study::built_in("digits").unwrap(),
            Study::built_in("images").unwrap(),
        ] {
            let mut study = study;
            study.set_classes(12);
            let text = study.to_toml();
            assert_eq!(Study::parse(&text, "again").expect(&text), study, "{text}");
        }
    }
}
