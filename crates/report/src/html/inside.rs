//! Pictures of what a network learned.

use maud::{Markup, html};

use super::Page;
use super::blocks::scrolling;
use super::sprite::url;

pub(super) fn section(page: &Page) -> Option<Markup> {
    (!page.pictures.is_empty()).then(|| {
        html! {
            @for shown in &page.pictures {
                figure {
                    figcaption { (shown.title) }
                    (scrolling(&shown.title, html! { img.picture src=(url(&shown.png)) alt=(shown.alternative); }))
                }
            }
        }
    })
}
