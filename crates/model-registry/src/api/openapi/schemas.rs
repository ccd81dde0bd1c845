//! The schemas of what is sent and answered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, Discriminator, OneOfBuilder, Type};
use utoipa::openapi::{ArrayBuilder, KnownFormat, Object, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat};

use super::super::decode::ARTIFACT_TYPE;
use super::super::metadata;
use super::super::version::Version;
use super::{lists, words};
use crate::model::{Field, Form, Given, Kind, Parent, Property};

pub(super) const ID_PATTERN: &str = "^[1-9][0-9]{0,8}$";
pub(super) const INT64: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::Int64);
pub(super) const INT32: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::Int32);
const INT_VALUE_PATTERN: &str = "^-?([1-9][0-9]{0,8}|0)$";

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// All schemas of all versions. Those that another version has, too, are there once.
pub(super) fn all() -> Schemas {
    let mut all = Schemas::new();
    for version in Version::ALL {
        for (name, schema) in bases(version).into_iter().chain(kinds(version)).chain(unions(version)) {
            all.entry(called(&name, version)).or_insert_with(|| RefOr::T(schema));
        }
        for name in lists(version) {
            let items = RefOr::T(Schema::Array(ArrayBuilder::new().items(reference(&name, version)).build()));
            let list = all_of([RefOr::T(Shape::new().required("items", items).schema()), shared("BaseResourceList")]);
            all.entry(called(&format!("{name}List"), version)).or_insert(RefOr::T(list));
        }
    }
    all.insert("Error".to_owned(), super::error());
    all.extend(enumerations().into_iter().chain(metadata_values()).map(|(name, schema)| (name, RefOr::T(schema))));
    all
}

/// What a schema is called in the document. Those that differ between versions are those with artifacts in them, which
/// belong to runs and may be metrics.
fn called(name: &str, version: Version) -> String {
    let about = ["Create", "Update", "List"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let of_artifacts = Kind::named(about)
        .map_or(about == "Artifact" || about == "BaseArtifact", |kind| kind.artifact_type().is_some());
    if of_artifacts && version == Version::V1 { format!("{name}V1") } else { name.to_owned() }
}

/// A schema by its name.
pub(super) fn reference(name: &str, version: Version) -> RefOr<Schema> {
    shared(&called(name, version))
}

/// A schema that is the same in all versions, by its name.
fn shared(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// Any text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A schema in its own place.
pub(super) fn object(builder: ObjectBuilder) -> RefOr<Schema> {
    RefOr::T(Schema::Object(builder.build()))
}

fn all_of(parts: impl IntoIterator<Item = RefOr<Schema>>) -> Schema {
    Schema::AllOf(parts.into_iter().fold(AllOfBuilder::new(), AllOfBuilder::item).build())
}

/// An object with fields.
pub(super) struct Shape(ObjectBuilder);

impl Shape {
    pub(super) fn new() -> Self {
        Self(ObjectBuilder::new().schema_type(Type::Object))
    }

    fn field(self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, schema))
    }

    pub(super) fn required(self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, schema).required(name))
    }

    pub(super) fn build(self) -> Object {
        self.0.build()
    }

    fn schema(self) -> Schema {
        Schema::Object(self.build())
    }
}

/// What resources have in common.
fn bases(version: Version) -> Vec<(String, Schema)> {
    let id = || text().format(Some(INT64)).pattern(Some(ID_PATTERN));
    let time = || text().format(Some(INT64)).read_only(true);
    let number = || ObjectBuilder::new().schema_type(Type::Integer).format(Some(INT32));
    let said =
        || Shape::new().field(metadata::FIELD, properties()).field("description", text()).field("externalId", text());
    let named = said().field("name", text().min_length(Some(1))).field("id", text().format(Some(INT64)));
    let dates = Shape::new().field("createTimeSinceEpoch", time()).field("lastUpdateTimeSinceEpoch", time());
    let list = Shape::new().required("nextPageToken", text()).required("pageSize", number()).required("size", number());
    let run = Shape::new().field("experimentId", id()).field("experimentRunId", id());
    let described = Shape::new().field(metadata::FIELD, properties()).field("description", text());
    let of_models = Kind::RegisteredModel.fields().iter().filter(|field| is_of_base_model(field));
    let model = of_models.fold(described, |shape, field| shape.field(field.name, value(field, version)));
    let mut bases = vec![
        ("BaseResource", all_of([RefOr::T(named.schema()), shared("BaseResourceDates")])),
        ("BaseResourceCreate", said().field("name", text()).schema()),
        ("BaseResourceDates", dates.schema()),
        ("BaseResourceList", list.schema()),
        ("BaseResourceUpdate", said().schema()),
        ("BaseModel", model.schema()),
    ];
    if version.shows_runs() {
        bases.push(("BaseArtifact", all_of([shared("BaseResource"), RefOr::T(run.schema())])));
    }
    bases.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The API has most fields of a registered model in a schema of their own, which its catalog uses, too.
fn is_of_base_model(field: &Field) -> bool {
    !matches!(field.name, "owner" | "state")
}

/// The schemas of each kind: as it is made, changed and answered.
fn kinds(version: Version) -> Vec<(String, Schema)> {
    let kinds = Kind::ALL.into_iter().filter(|kind| version.has(*kind));
    kinds.flat_map(|kind| of_kind(kind, version)).collect()
}

fn of_kind(kind: Kind, version: Version) -> [(String, Schema); 3] {
    let name = kind.name();
    let (create, update) = (format!("{name}Create"), format!("{name}Update"));
    let base = if kind.artifact_type().is_some() && version.shows_runs() { "BaseArtifact" } else { "BaseResource" };
    let whole = all_of([shared(base), reference(&create, version)]);
    let made = all_of([shared("BaseResourceCreate"), reference(&update, version), RefOr::T(made(kind, version))]);
    [(name.to_owned(), whole), (create, made), (update, changed(kind, version))]
}

fn changed(kind: Kind, version: Version) -> Schema {
    let is_model = kind == Kind::RegisteredModel;
    let own = |field: &&Field| field.given == Given::Always && !(is_model && is_of_base_model(field));
    let start = with_type(Shape::new(), kind);
    let shape =
        kind.fields().iter().filter(own).fold(start, |shape, field| shape.field(field.name, value(field, version)));
    let mut parts = vec![shared("BaseResourceUpdate")];
    if is_model {
        parts.push(shared("BaseModel"));
    }
    parts.push(RefOr::T(shape.schema()));
    all_of(parts)
}

/// What is said of a new one alone.
fn made(kind: Kind, version: Version) -> Schema {
    let mut shape = with_type(Shape::new(), kind);
    if kind.must_be_named() {
        shape = shape.required("name", text().min_length(Some(1)));
    }
    if let Parent::Named(_, field) = kind.parent() {
        shape = shape.required(field, required_id());
    }
    for field in kind.fields() {
        shape = match (field.given, field.form) {
            (Given::Required, Form::Id) => shape.required(field.name, required_id()),
            (Given::Required, _) => shape.required(field.name, value(field, version)),
            (Given::AtFirst, _) => shape.field(field.name, value(field, version)),
            (Given::Always, _) => shape,
        };
    }
    shape.schema()
}

fn with_type(shape: Shape, kind: Kind) -> Shape {
    match kind.artifact_type() {
        Some(artifact_type) => shape.field(ARTIFACT_TYPE, text().default(Some(json!(artifact_type)))),
        None => shape,
    }
}

fn required_id() -> ObjectBuilder {
    text().format(Some(INT64)).pattern(Some(ID_PATTERN)).min_length(Some(1))
}

fn value(field: &Field, version: Version) -> RefOr<Schema> {
    let simple = |kind: Type| ObjectBuilder::new().schema_type(kind);
    match (field.form, version) {
        (Form::Text, _) => object(text()),
        (Form::Uri, _) => object(text().format(Some(SchemaFormat::Custom("uri".to_owned())))),
        (Form::Texts, _) => RefOr::T(Schema::Array(ArrayBuilder::new().items(object(text())).build())),
        (Form::Id, _) => object(text().format(Some(INT64)).pattern(Some(ID_PATTERN))),
        (Form::Integer, Version::V1Alpha3) => object(simple(Type::Integer).format(Some(INT64))),
        (Form::Millis, _) | (Form::Integer, Version::V1) => object(text().format(Some(INT64))),
        (Form::Number, _) => object(simple(Type::Number).format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))),
        (Form::Word(words), _) => shared(words.schema),
    }
}

/// Artifacts of any kind, told apart by their type.
fn unions(version: Version) -> Vec<(String, Schema)> {
    let union = |end: &str| {
        let of = |kind: &Kind| called(&format!("{}{end}", kind.name()), version);
        let types = Kind::ARTIFACTS.iter().filter_map(|kind| kind.artifact_type().zip(Some(of(kind))));
        (format!("Artifact{end}"), one_of(ARTIFACT_TYPE, &types.collect::<Vec<_>>()))
    };
    ["", "Create", "Update"].map(union).into()
}

/// One of several schemas: the values of the field that tells them apart, with their names.
fn one_of(field: &str, schemas: &[(&str, String)]) -> Schema {
    let mapping = schemas.iter().map(|(value, name)| ((*value).to_owned(), format!("#/components/schemas/{name}")));
    let discriminator = Discriminator::with_mapping(field, mapping.collect::<Vec<_>>());
    let items = schemas.iter().map(|(_, name)| shared(name));
    let one_of = items.fold(OneOfBuilder::new(), OneOfBuilder::item);
    Schema::OneOf(one_of.discriminator(Some(discriminator)).build())
}

fn enumerations() -> Vec<(String, Schema)> {
    let of_fields = Kind::ALL.into_iter().flat_map(Kind::fields).filter_map(|field| match field.form {
        Form::Word(words) => Some(words),
        _ => None,
    });
    let types: Vec<&str> = Kind::ARTIFACTS.iter().filter_map(|kind| kind.artifact_type()).collect();
    let mut seen = BTreeSet::new();
    of_fields
        .filter(|of| seen.insert(of.schema))
        .map(|of| (of.schema.to_owned(), words(of.words, of.default)))
        .chain([
            ("ArtifactTypeQueryParam".to_owned(), words(&types, None)),
            ("OrderByField".to_owned(), words(&["CREATE_TIME", "LAST_UPDATE_TIME", "ID"], None)),
            ("SortOrder".to_owned(), words(&["ASC", "DESC"], None)),
        ])
        .collect()
}

fn properties() -> ObjectBuilder {
    let values = AdditionalProperties::RefOr(shared("MetadataValue"));
    ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(values))
}

/// The values of custom properties, each type under its name.
fn metadata_values() -> Vec<(String, Schema)> {
    let of_type = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let bytes = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Byte)));
    let samples = [
        (Property::Int(0), text().format(Some(INT32)).pattern(Some(INT_VALUE_PATTERN))),
        (Property::Double(0.0), of_type(Type::Number).format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))),
        (Property::String(String::new()), text()),
        (Property::Struct(String::new()), bytes()),
        (Property::Bool(false), of_type(Type::Boolean)),
    ];
    let mut values: Vec<(&str, Schema)> = samples
        .into_iter()
        .map(|(property, value)| {
            let name = property.metadata_type();
            (name, metadata_value(name, Shape::new().required(property.value_field(), value)))
        })
        .collect();
    let proto = Shape::new().required("type", text()).required("proto_value", bytes());
    values.push((metadata::PROTO, metadata_value(metadata::PROTO, proto)));
    let names: Vec<_> = values.iter().map(|(name, _)| (*name, (*name).to_owned())).collect();
    values.push(("MetadataValue", one_of(metadata::TYPE, &names)));
    values.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn metadata_value(name: &str, shape: Shape) -> Schema {
    let only = text().enum_values(Some([name])).default(Some(json!(name)));
    let shape = shape.required(metadata::TYPE, only);
    Schema::Object(shape.0.additional_properties(Some(AdditionalProperties::FreeForm(false))).build())
}
