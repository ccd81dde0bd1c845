//! JSON and YAML as values that know where in the file each of their fields stands.

use std::collections::HashMap;

use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use saphyr::{MarkedYaml, Marker, Scalar, YamlData, YamlLoader};
use saphyr_parser::{Event, Parser, ScanError, SpannedEventReceiver as _};
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// How deep values may be nested, as JSON parsers have it.
const DEPTH: usize = 100;
/// How many values aliases may stand for.
const ALIASED: usize = 10_000;
const TOO_DEEP: &str = "this is nested too deeply";

/// A line and a column of a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// Where every file begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    fn of_marker(marker: Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1 }
    }

    fn of_offset(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

/// A text could not be parsed.
#[derive(Debug)]
pub(super) struct Unparsed {
    pub(super) place: Place,
    pub(super) message: String,
}

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    spots: HashMap<String, Spot>,
}

/// Where a value stands, and the key before it.
#[derive(Debug, Clone, Copy)]
struct Spot {
    key: Option<Place>,
    value: Place,
}

impl Document {
    /// Where the value at a JSON pointer stands; of one that is missing, where its parent does.
    pub(super) fn place(&self, pointer: &str) -> Place {
        self.spot(pointer).map_or(Place::START, |spot| spot.value)
    }

    /// Where the key of that value stands.
    pub(super) fn key_place(&self, pointer: &str) -> Place {
        self.spot(pointer).map_or(Place::START, |spot| spot.key.unwrap_or(spot.value))
    }

    fn spot(&self, pointer: &str) -> Option<Spot> {
        let mut pointer = pointer;
        loop {
            if let Some(spot) = self.spots.get(pointer) {
                return Some(*spot);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

/// A key as it stands in a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The one document of a JSON file.
pub(super) fn json(text: &str) -> Result<Document, Unparsed> {
    let value: Value = serde_json::from_str(text).map_err(|error| Unparsed {
        place: Place { line: error.line().max(1), column: error.column().max(1) },
        message: format!("this is no JSON: {}", without_position(&error.to_string())),
    })?;
    let tree = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
    let tree = tree.map_err(|error| Unparsed {
        place: Place::of_offset(text, error.range().start),
        message: format!("this is no JSON: {}", error.kind()),
    })?;
    let mut walk = JsonWalk { text, spots: HashMap::new(), doubled: None };
    if let Some(root) = &tree.value {
        walk.value(String::new(), None, root);
    }
    match walk.doubled {
        Some(doubled) => Err(doubled),
        None => Ok(Document { value, spots: walk.spots }),
    }
}

fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(said, _)| said)
}

struct JsonWalk<'a> {
    text: &'a str,
    spots: HashMap<String, Spot>,
    doubled: Option<Unparsed>,
}

impl JsonWalk<'_> {
    fn value(&mut self, pointer: String, key: Option<Place>, value: &ast::Value<'_>) {
        use jsonc_parser::common::Ranged as _;
        let spot = Spot { key, value: Place::of_offset(self.text, value.start()) };
        match value {
            ast::Value::Object(object) => {
                for property in &object.properties {
                    let name = property.name.as_str();
                    let (inner, place) =
                        (format!("{pointer}/{}", escaped(name)), Place::of_offset(self.text, property.start()));
                    if self.spots.contains_key(&inner) && self.doubled.is_none() {
                        let message =
                            format!("the key `{name}` is there twice, and readers differ in which one counts");
                        self.doubled = Some(Unparsed { place, message });
                    }
                    self.value(inner, Some(place), &property.value);
                }
            }
            ast::Value::Array(array) => {
                for (index, element) in array.elements.iter().enumerate() {
                    self.value(format!("{pointer}/{index}"), None, element);
                }
            }
            _ => {}
        }
        self.spots.insert(pointer, spot);
    }
}

/// The documents of a YAML file, without those that are empty.
pub(super) fn yaml(text: &str) -> Result<Vec<Document>, Unparsed> {
    let documents = load(text)?;
    let documents = documents.iter().map(|node| {
        let mut walk = YamlWalk::default();
        let value = walk.value("", None, node, 0)?;
        Ok(Document { value, spots: walk.spots })
    });
    let documents: Vec<Document> = documents.collect::<Result<_, Unparsed>>()?;
    Ok(documents.into_iter().filter(|document| !document.value.is_null()).collect())
}

/// Event by event, because the loader's own way follows any depth with its stack.
fn load(text: &str) -> Result<Vec<MarkedYaml<'_>>, Unparsed> {
    let no_yaml = |error: &ScanError| Unparsed {
        place: Place::of_marker(*error.marker()),
        message: format!("this is no YAML: {}", error.info()),
    };
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    loader.alias_limit(ALIASED);
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| no_yaml(&error))?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
        if depth > DEPTH {
            return Err(Unparsed { place: Place::of_marker(span.start), message: TOO_DEEP.to_owned() });
        }
        loader.on_event(event, span);
        if let Some(error) = loader.error() {
            return Err(no_yaml(error));
        }
    }
    Ok(loader.into_documents())
}

#[derive(Default)]
struct YamlWalk {
    spots: HashMap<String, Spot>,
}

impl YamlWalk {
    fn value(
        &mut self,
        pointer: &str,
        key: Option<Place>,
        node: &MarkedYaml<'_>,
        depth: usize,
    ) -> Result<Value, Unparsed> {
        let place = Place::of_marker(node.span.start);
        let refuse = |message: &str| Unparsed { place, message: message.to_owned() };
        if depth > DEPTH {
            return Err(refuse(TOO_DEEP));
        }
        self.spots.insert(pointer.to_owned(), Spot { key, value: place });
        match &node.data {
            YamlData::Value(scalar) => Ok(value_of(scalar)),
            YamlData::Sequence(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(index, item)| self.value(&format!("{pointer}/{index}"), None, item, depth + 1));
                items.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            YamlData::Mapping(entries) => {
                let mut object = Map::new();
                for (name, item) in entries {
                    let place = Place::of_marker(name.span.start);
                    let YamlData::Value(scalar) = &name.data else {
                        return Err(Unparsed { place, message: "a key must be a text".to_owned() });
                    };
                    let name = match value_of(scalar) {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    let inner = format!("{pointer}/{}", escaped(&name));
                    let value = self.value(&inner, Some(place), item, depth + 1)?;
                    object.insert(name, value);
                }
                Ok(Value::Object(object))
            }
            YamlData::Tagged(_, inner) => self.value(pointer, key, inner, depth + 1),
            YamlData::Representation(text, ..) => Ok(Value::String(text.to_string())),
            YamlData::Alias(_) => Err(refuse("this alias leads nowhere")),
            YamlData::BadValue => Err(refuse("this value is not what its tag says")),
        }
    }
}

fn value_of(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::FloatingPoint(value) => Number::from_f64(value.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}
