//! The summary as one page that needs nothing else.

use super::chart::chart;
use super::text;
use crate::accuracy::Summary;
use crate::published::Scored;
use crate::render::page::{self, frame, preformatted, table};

/// The page.
#[must_use]
pub fn page(summary: &Summary, rows: &[Scored]) -> String {
    let mut body = String::from(
        "<h1>Predicted against published step times</h1>\n<p>Errors in percent of the measured \
         time; &ldquo;naive&rdquo; is half of the peak and the bubble. Every prediction is that of \
         the plan that was run, priced with what the planner prices its own plans with.</p>\n",
    );
    body += &section("By group", &table(&text::groups(summary, true)));
    body += &section("Predicted against measured", &chart(rows));
    if let Some(ranking) = &summary.ranking {
        body += &section("Ranking", &preformatted(&text::ranking(ranking)));
        body += &section("Sweeps, worst regret first", &table(&text::sweeps(summary)));
    }
    body += &section("Memory", &table(&text::memory(summary)));
    if let Some(fits) = &summary.fits {
        body += &section("Fits or not", &preformatted(&text::fits(fits)));
    }
    body += &section("Intervals", &table(&text::regimes(summary)));
    body += &section("Doubts", &table(&text::doubts(summary)));
    body += &section("Worst rows", &table(&text::worst(summary)));
    body += &section("Not scored", &table(&text::counts(&summary.skipped, "why", usize::MAX)));
    body += &section("Assumed", &table(&text::counts(&summary.assumed, "what", usize::MAX)));
    frame("Accuracy of Meshwright", STYLE, &body)
}

/// Groups and rows have many columns.
const STYLE: &str = "body{max-width:64rem}";

fn section(title: &str, content: &str) -> String {
    let id: String = title.chars().filter(char::is_ascii_alphabetic).collect();
    page::section(&id.to_lowercase(), title, content)
}
