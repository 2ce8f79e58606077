//! Pictures of what a network learned.

use maud::{Markup, html};

use super::Page;
use super::blocks::figure;

pub(super) fn section(page: &Page) -> Option<Markup> {
    (!page.pictures.is_empty()).then(|| html! { @for shown in &page.pictures { (figure(shown)) } })
}
