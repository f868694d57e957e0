//! The runbook, `docs/runbook.md` and its translation, as something that a page can show.

use std::sync::LazyLock;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::i18n::Lang;

const TEXTS: [(Lang, &str); 2] = [
    (Lang::En, include_str!("../../docs/runbook.md")),
    (Lang::ZhCn, include_str!("../../docs/runbook.zh-CN.md")),
];

/// One section: the introduction, or what to do about a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The verdict; empty for the introduction.
    pub anchor: String,
    pub title: Vec<Inline>,
    pub blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    Paragraph(Vec<Inline>),
    Steps(Vec<Vec<Inline>>),
    Points(Vec<Vec<Inline>>),
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    Text(String),
    Strong(String),
    Emphasis(String),
    Code(String),
    Link { to: String, text: String },
}

/// The sections in the reader's language, in the text's order.
pub fn sections(lang: Lang) -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<(Lang, Vec<Section>)>> =
        LazyLock::new(|| TEXTS.map(|(lang, text)| (lang, parse(text))).into());
    SECTIONS
        .iter()
        .find(|(of, _)| *of == lang)
        .map_or(&[], |(_, sections)| sections)
}

/// Reads the subset of Markdown that the runbook is written in.
fn parse(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut anchor = String::new();
    let mut line: Vec<Inline> = Vec::new();
    let mut items: Option<Vec<Vec<Inline>>> = None;
    let mut style = None;
    for event in Parser::new(text) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                if let Some((name, _)) = html
                    .trim()
                    .strip_prefix("<a id=\"")
                    .and_then(|rest| rest.split_once('"'))
                {
                    name.clone_into(&mut anchor);
                }
            }
            Event::Start(tag @ (Tag::Strong | Tag::Emphasis | Tag::Link { .. })) => style = Some(tag),
            Event::End(TagEnd::Strong | TagEnd::Emphasis | TagEnd::Link) => style = None,
            Event::Start(Tag::List(_)) => items = Some(Vec::new()),
            Event::Text(text) => line.push(styled(style.as_ref(), text.into_string())),
            Event::Code(code) => line.push(match &style {
                Some(Tag::Link { dest_url, .. }) => Inline::Link {
                    to: dest_url.to_string(),
                    text: code.into_string(),
                },
                _ => Inline::Code(code.into_string()),
            }),
            Event::SoftBreak | Event::HardBreak => line.push(Inline::Text(" ".to_owned())),
            Event::End(TagEnd::Heading(_)) => sections.push(Section {
                anchor: std::mem::take(&mut anchor),
                title: std::mem::take(&mut line),
                blocks: Vec::new(),
            }),
            Event::End(TagEnd::Paragraph) if items.is_none() && !line.is_empty() => {
                push(&mut sections, Block::Paragraph(std::mem::take(&mut line)));
            }
            Event::End(TagEnd::Item) => {
                if let Some(items) = &mut items {
                    items.push(std::mem::take(&mut line));
                }
            }
            Event::End(TagEnd::List(ordered)) => {
                let items = items.take().unwrap_or_default();
                push(
                    &mut sections,
                    if ordered {
                        Block::Steps(items)
                    } else {
                        Block::Points(items)
                    },
                );
            }
            _ => {}
        }
    }
    sections
}

fn push(sections: &mut [Section], block: Block) {
    if let Some(section) = sections.last_mut() {
        section.blocks.push(block);
    }
}

fn styled(style: Option<&Tag>, text: String) -> Inline {
    match style {
        Some(Tag::Strong) => Inline::Strong(text),
        Some(Tag::Emphasis) => Inline::Emphasis(text),
        Some(Tag::Link { dest_url, .. }) => Inline::Link {
            to: dest_url.to_string(),
            text,
        },
        _ => Inline::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Verdict;

    #[test]
    fn every_verdict_has_an_entry_with_steps_in_both_languages() {
        for lang in Lang::ALL {
            for verdict in Verdict::ALL {
                let section = sections(lang)
                    .iter()
                    .find(|section| section.anchor == verdict.as_str())
                    .unwrap_or_else(|| panic!("no entry for {verdict} in {}", lang.tag()));
                assert!(
                    section
                        .blocks
                        .iter()
                        .any(|block| matches!(block, Block::Steps(steps) if !steps.is_empty())),
                    "{verdict} says what to do"
                );
            }
        }
    }

    #[test]
    fn links_lead_to_entries_and_the_languages_have_the_same_ones() {
        let anchors = |lang| -> Vec<&str> {
            sections(lang)
                .iter()
                .map(|section| section.anchor.as_str())
                .collect()
        };
        assert_eq!(anchors(Lang::En), anchors(Lang::ZhCn));
        for section in Lang::ALL.iter().flat_map(|lang| sections(*lang)) {
            for block in &section.blocks {
                let lines = match block {
                    Block::Paragraph(line) => std::slice::from_ref(line),
                    Block::Steps(lines) | Block::Points(lines) => lines,
                };
                for inline in lines.iter().flatten() {
                    if let Inline::Link { to, .. } = inline {
                        let anchor = to.strip_prefix('#').expect("a link inside the page");
                        assert!(anchors(Lang::En).contains(&anchor), "{to}");
                    }
                }
            }
        }
    }
}
