//! The table of keys as a document.

use crate::keymap::{KEYMAP, Place, keys};

/// Keys and what they do, as Markdown, place by place.
#[must_use]
pub fn keys_table() -> String {
    let mut places: Vec<Place> = Vec::new();
    for binding in KEYMAP {
        if !places.contains(&binding.place) {
            places.push(binding.place);
        }
    }
    places.sort_by_key(|place| u8::from(*place != Place::Everywhere));
    let mut text = String::from("| where | keys | does |\n|---|---|---|\n");
    for place in places {
        for binding in KEYMAP.iter().filter(|b| b.place == place) {
            let keys = keys(binding).replace(" or ", "`, `");
            let heading = place.heading();
            text += &format!("| {heading} | `{keys}` | {} |\n", binding.does.replace('|', "\\|"));
        }
    }
    text
}
