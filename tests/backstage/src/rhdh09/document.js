// Reads a model catalog document, and is as strict as those providers are: a field is there and of its type, or it is not
// there at all.
'use strict';

const text = value => typeof value === 'string';
const flag = value => typeof value === 'boolean';
const texts = value => Array.isArray(value) && value.every(text);
const textsByName = value => isObject(value) && Object.values(value).every(text);
const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const objectOf = shape => value => check(value, shape);
const listOf = shape => value => Array.isArray(value) && value.every(item => check(item, shape));

const described = { name: text, owner: text, lifecycle: text, description: text };

const MODEL = {
  required: described,
  optional: {
    artifactLocationURL: text,
    ethics: text,
    howToUseURL: text,
    license: text,
    support: text,
    tags: texts,
    training: text,
    usage: text,
    annotations: textsByName,
  },
};

const API = {
  required: {
    url: text,
    spec: text,
    type: value => ['openapi', 'asyncapi', 'graphql', 'grpc'].includes(value),
  },
  optional: { tags: texts, annotations: textsByName },
};

const MODEL_SERVER = {
  required: described,
  optional: {
    API: objectOf(API),
    authentication: flag,
    homepageURL: text,
    tags: texts,
    usage: text,
    annotations: textsByName,
  },
};

const DOCUMENT = {
  required: { models: listOf(MODEL) },
  optional: { modelServer: objectOf(MODEL_SERVER) },
};

function check(value, { required, optional }) {
  if (!isObject(value)) {
    return false;
  }
  const present = Object.entries(required).every(([name, is]) => name in value && is(value[name]));
  return present && Object.entries(optional).every(([name, is]) => !(name in value) || is(value[name]));
}

/** The document, or an error that names where it was. */
function readDocument(value, uri) {
  if (!check(value, DOCUMENT)) {
    throw new Error(`${uri} is no model catalog document`);
  }
  return value;
}

module.exports = { readDocument };
