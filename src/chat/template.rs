//! Turns to ids: where control tokens stand between texts, tools and pictures.
//!
//! The order of ids is the template; everything else (joining, JSON, rules) is decided before.

use super::{
    ChatRequest, ImageSource, Prompt, Tool,
    image_tokens::ImageTokens,
    tools,
    turns::{Answer, Conversation, SEPARATOR, Segment, Turn},
    validate::validate,
};
use crate::{
    Error, ErrorKind, Result,
    config::VisionConfig,
    preprocess::PreparedImage,
    tokenizer::{TokenId, Tokenizer},
};
use std::sync::Arc;

/// The chat template of one model: its tokenizer and the ids of its control tokens. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    tokenizer: Tokenizer,
    image: ImageTokens,
    inst: TokenId,
    inst_end: TokenId,
    available_tools: TokenId,
    available_tools_end: TokenId,
    tool_results: TokenId,
    tool_results_end: TokenId,
    tool_calls: TokenId,
}

/// How [`ChatTemplate::encode`] gets the picture that a request names.
pub type LoadImage<'a> = dyn FnMut(&str) -> Result<Arc<PreparedImage>> + 'a;

impl ChatTemplate {
    /// The template with the tokens of `tokenizer` and the image tokens of `vision`.
    ///
    /// # Errors
    /// `InvalidTokenizer` if the vocabulary lacks a control token, or an image token is not a
    /// special one.
    pub fn new(tokenizer: &Tokenizer, vision: &VisionConfig) -> Result<Self> {
        let control = |name: &str| {
            tokenizer.special(name).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidTokenizer,
                    format!(
                        "there is no special token {name:?}, which the chat template needs: the \
                         tokenizer is not that of a Pixtral model"
                    ),
                )
            })
        };
        Ok(Self {
            image: ImageTokens::new(tokenizer, vision)?,
            inst: control("[INST]")?,
            inst_end: control("[/INST]")?,
            available_tools: control("[AVAILABLE_TOOLS]")?,
            available_tools_end: control("[/AVAILABLE_TOOLS]")?,
            tool_results: control("[TOOL_RESULTS]")?,
            tool_results_end: control("[/TOOL_RESULTS]")?,
            tool_calls: control("[TOOL_CALLS]")?,
            tokenizer: tokenizer.clone(),
        })
    }

    /// The prompt for `request`. `load` is called for each picture that is named by a URL, in the
    /// order of the prompt, as often as it occurs.
    ///
    /// Text never yields a special token, whatever it contains.
    ///
    /// # Errors
    /// One of the kinds 40 to 46 if the conversation or a tool breaks a rule, and whatever `load`
    /// answers.
    pub fn encode(&self, request: &ChatRequest, load: &mut LoadImage) -> Result<Prompt> {
        validate(request)?;
        let conversation = Conversation::new(&request.messages)?;
        let last_user = conversation.last_user();
        let mut writer = Writer {
            template: self,
            prompt: Prompt {
                ids: vec![self.tokenizer.bos()],
                images: Vec::new(),
            },
            load,
        };
        for (i, turn) in conversation.turns.iter().enumerate() {
            match turn {
                Turn::User(segments) if i == last_user => {
                    writer.tools(&request.tools)?;
                    writer.user(&conversation.system, segments)?;
                }
                Turn::User(segments) => writer.user("", segments)?,
                Turn::Assistant { answer, prefix } => writer.assistant(answer, *prefix)?,
                Turn::ToolResult { text, call_id } => writer.tool_result(text, call_id)?,
            }
        }
        Ok(writer.prompt)
    }

    /// The token that begins the assistant's tool calls.
    pub fn tool_calls_id(&self) -> TokenId {
        self.tool_calls
    }

    /// Leaves the model no choice but to call tools: `prompt`, which this template has encoded, goes
    /// on with `[TOOL_CALLS]`. Only a constraint, such as that of [`calls_schema`](super::calls_schema),
    /// makes certain that calls follow.
    pub fn begin_tool_calls(&self, prompt: &mut Prompt) {
        prompt.ids.push(self.tool_calls);
    }
}

/// A prompt being written.
struct Writer<'a, 'b> {
    template: &'a ChatTemplate,
    prompt: Prompt,
    load: &'a mut LoadImage<'b>,
}

impl Writer<'_, '_> {
    fn control(&mut self, id: TokenId) {
        self.prompt.ids.push(id);
    }

    fn text(&mut self, text: &str) {
        self.template
            .tokenizer
            .encode_into(text, &mut self.prompt.ids);
    }

    fn tools(&mut self, tools: &[Tool]) -> Result<()> {
        if !tools.is_empty() {
            self.control(self.template.available_tools);
            self.text(&tools::declarations(tools)?);
            self.control(self.template.available_tools_end);
        }
        Ok(())
    }

    fn user(&mut self, system: &str, segments: &[Segment]) -> Result<()> {
        self.control(self.template.inst);
        let system = match system.is_empty() {
            true => String::new(),
            false => format!("{system}{SEPARATOR}"),
        };
        match segments {
            // Text alone is tokenised together with the system's; beside pictures it is not.
            [] => self.text(&system),
            [Segment::Text(text)] => self.text(&(system + text)),
            _ => {
                self.text(&system);
                for segment in segments {
                    match segment {
                        Segment::Text(text) => self.text(text),
                        Segment::Image(source) => self.image(source)?,
                    }
                }
            }
        }
        self.control(self.template.inst_end);
        Ok(())
    }

    fn image(&mut self, source: &ImageSource) -> Result<()> {
        let image = match source {
            ImageSource::Url(url) => (self.load)(url)?,
            ImageSource::Prepared(image) => image.clone(),
        };
        self.template.image.append(image.grid, &mut self.prompt.ids);
        self.prompt.images.push(image);
        Ok(())
    }

    fn assistant(&mut self, answer: &Answer, prefix: bool) -> Result<()> {
        match answer {
            Answer::Text(text) => self.text(text.trim_end_matches(' ')),
            Answer::Calls(calls) => {
                self.control(self.template.tool_calls);
                self.text(&tools::calls(calls)?);
            }
        }
        if !prefix {
            self.control(self.template.tokenizer.eos());
        }
        Ok(())
    }

    fn tool_result(&mut self, text: &str, call_id: &str) -> Result<()> {
        self.control(self.template.tool_results);
        self.text(&tools::result(text, call_id)?);
        self.control(self.template.tool_results_end);
        Ok(())
    }
}
