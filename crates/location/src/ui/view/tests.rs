use super::*;

const CATALOG: &str = r#"{"models":[{"name":"m-v1","owner":"ml","lifecycle":"production","description":"Reads.\nv1",
    "artifactLocationURL":"oci://r.example.com/m:1","howToUseURL":"https://how.example.com","license":"https://l.example.com",
    "ethics":"Careful.","support":"Ask.","training":"On books.","usage":"Send text.","tags":["a","b"],
    "annotations":{"rhdh.modelcatalog.io/model-name":"M/v1","rhdh.modelcatalog.io/provider":"Acme",
        "TechDocs":"https://docs.example.com","techdocs":"https://docs.example.com"}}],
    "modelServer":{"name":"m-v1","owner":"ops","lifecycle":"staging","description":"","authentication":true,
    "homepageURL":"https://home.example.com","usage":"Chat.","tags":["c"],
    "annotations":{"rhdh.modelcatalog.io/served-models":"[\"m\",\"n\"]","rhdh.io/serverType":"openai-v1"},
    "API":{"url":"https://m.example.com","type":"openapi","spec":"openapi: 3.1.0","tags":["d"],
    "annotations":{"rhdh.modelcatalog.io/external-route-url":"https://m.example.com",
        "rhdh.modelcatalog.io/internal-service-url":"http://m.ns.svc:8080"}}}}"#;

fn in_both_formats(catalog: &str) -> [Shown; 2] {
    let catalog: model_catalog::document::Catalog = serde_json::from_str(catalog).unwrap();
    [Format::ModelCatalogJson, Format::CatalogInfoYaml].map(|format| {
        let document = model_catalog::render::render(&catalog, format).unwrap();
        Shown::read(format, &document).unwrap()
    })
}

#[test]
fn both_formats_say_the_same() {
    for shown in in_both_formats(CATALOG) {
        let model = &shown.models[0];
        assert_eq!((model.name.as_str(), model.model_name.as_deref()), ("m-v1", Some("M/v1")));
        assert_eq!(model.description, "Reads.\nv1");
        assert_eq!((model.owner.as_deref(), model.lifecycle.as_deref()), (Some("ml"), Some("production")));
        assert_eq!(model.provider.as_deref(), Some("Acme"));
        assert_eq!(shown.tags(), ["a", "b", "c"]);
        let links: Vec<_> = model.links.iter().map(|link| (link.title.as_str(), link.url.as_str())).collect();
        let expected = [
            ("Artifact", "oci://r.example.com/m:1"),
            ("How to use", "https://how.example.com"),
            ("License", "https://l.example.com"),
            ("Documentation", "https://docs.example.com"),
        ];
        assert_eq!(links, expected);
        let texts: Vec<_> = model.texts.iter().map(|(title, text)| (*title, text.as_str())).collect();
        let expected =
            [("Usage", "Send text."), ("Ethics", "Careful."), ("Training", "On books."), ("Support", "Ask.")];
        assert_eq!(texts, expected);

        let server = shown.server.unwrap();
        assert_eq!((server.owner.as_deref(), server.lifecycle.as_deref()), (Some("ops"), Some("staging")));
        assert_eq!(server.authentication, Some(true));
        assert_eq!(server.url.as_deref(), Some("https://m.example.com"));
        assert_eq!(server.external_url.as_deref(), Some("https://m.example.com"));
        assert_eq!(server.internal_url.as_deref(), Some("http://m.ns.svc:8080"));
        assert_eq!(server.homepage.as_deref(), Some("https://home.example.com"));
        assert_eq!((server.api_type.as_deref(), server.api_spec.as_deref()), (Some("openapi"), Some("openapi: 3.1.0")));
        assert_eq!((server.server_type.as_deref(), server.usage.as_deref()), (Some("openai-v1"), Some("Chat.")));
        assert_eq!(server.served_models, ["m", "n"]);
    }
}

#[test]
fn a_model_without_a_server_has_none() {
    let catalog = r#"{"models":[{"name":"m","owner":"ml","lifecycle":"production","description":""}]}"#;
    for shown in in_both_formats(catalog) {
        assert_eq!((shown.models.len(), shown.server), (1, None));
    }
}

#[test]
fn documents_of_the_go_bridge_are_read() {
    let json = include_bytes!("../../../tests/fixtures/go-body-granite-0-lab_v1.json");
    let shown = Shown::read(Format::ModelCatalogJson, json).unwrap();
    assert_eq!(shown.models[0].model_name.as_deref(), Some("granite-0-lab-v1"));
    assert!(shown.tags().contains(&"ibm") && shown.server.is_none(), "{shown:?}");

    let yaml = include_bytes!("../../../tests/fixtures/go-body-granite-0-lab_v1.yaml");
    let shown = Shown::read(Format::CatalogInfoYaml, yaml).unwrap();
    assert_eq!(shown.models[0].description, "Model number 0, instruct tuned.");
    assert_eq!(shown.models[0].owner.as_deref(), Some("rhdh-rhoai-bridge"));
    assert_eq!(shown.models[0].links[0].url, "oci://registry.example.com/rhelai1/granite-0:1.0");
    assert_eq!(shown.server, None, "its Component is one of a model that nobody serves");
}

#[test]
fn what_is_not_as_it_should_be_is_left_out() {
    let strange = r#"{"models":[7,{"name":{},"owner":3,"tags":"none","annotations":[1],"description":null},{"name":" m "}],
        "modelServer":"x","more":[]}"#;
    let shown = Shown::read(Format::ModelCatalogJson, strange.as_bytes()).unwrap();
    assert_eq!(shown.models.len(), 3);
    assert_eq!((shown.models[1].owner.as_deref(), shown.models[2].name.as_str()), (Some("3"), "m"));
    assert_eq!(shown.server, None);
    let yaml = Shown::read(Format::CatalogInfoYaml, b"just: text\n---\n- 1\n---\nkind: Resource\n").unwrap();
    assert_eq!(yaml.models, [ShownModel::default()]);
}

#[test]
fn what_cannot_be_read_says_why() {
    let read = |format, document: &[u8]| Shown::read(format, document).unwrap_err().to_string();
    assert!(read(Format::ModelCatalogJson, b"{").contains("no JSON"));
    assert!(read(Format::CatalogInfoYaml, b"a: [").contains("no YAML"));
    assert!(read(Format::ModelCatalogJson, &vec![b' '; MAX_READ + 1]).contains("4 MiB"));
}

#[test]
fn long_texts_are_cut_at_characters() {
    assert_eq!(clipped("äöü", 3), "äöü");
    assert_eq!(clipped("äöü", 2), "äö…");
}

#[test]
fn texts_do_not_turn_around_what_is_beside_them() {
    let strange = r#"{"models":[{"name":"\u202egpj.exe \u05d0\u0000","description":"a\r\nb\u2066"}]}"#;
    let shown = Shown::read(Format::ModelCatalogJson, strange.as_bytes()).unwrap();
    assert_eq!((shown.models[0].name.as_str(), shown.models[0].description.as_str()), ("gpj.exe \u{5d0}", "a\nb"));
}

#[test]
fn owners_have_the_same_names_in_both_formats() {
    for (reference, name) in
        [("user:jane", "jane"), ("group:default/ml", "ml"), ("user:eu/jane", "eu/jane"), ("jane", "jane")]
    {
        let yaml = format!("kind: Resource\nspec:\n  owner: {reference}\n");
        let shown = Shown::read(Format::CatalogInfoYaml, yaml.as_bytes()).unwrap();
        assert_eq!(shown.models[0].owner.as_deref(), Some(name), "{reference}");
    }
}
