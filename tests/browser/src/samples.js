// Models as the pages are looked at with, and one that means harm.

const described = [
  ["granite", "granite-3.1-8b-instruct", "ai-platform", "production", "IBM", ["chat", "granite", "instruct", "validated", "vllm", "context-length-131072"], "Instruction-tuned language model for assistants, summaries and retrieval-augmented answers.\nLonger context and better tool calls. This is the version in production."],
  ["llama", "llama-3.1-8b-instruct", "ai-platform", "production", "Meta", ["chat", "llama", "instruct"], "Multilingual chat model of full precision."],
  ["mistral", "mistral-small-24b", "agents-team", "staging", "Mistral AI", ["chat", "agents"], "Mid-size chat model for agents that call functions."],
  ["whisper", "whisper-large", "speech", "production", "OpenAI", ["audio", "transcription"], "Turns speech of many languages into text."],
  ["fraud", "fraud-detection", "risk", "development", undefined, ["sklearn", "tabular"], "Scores card payments. Trained each night on those of the last ninety days."],
  ["churn", "churn-forecast", "growth", "deprecated", undefined, ["xgboost", "tabular"], ""],
  ["embed", "bge-m3-embeddings", "search-team", "production", "BAAI", ["embeddings", "multilingual"], "Embeddings for search over documents in a hundred languages."],
  ["vision", "mnist-onnx", "examples", "experimental", undefined, ["onnx", "vision"], "Reads handwritten digits. For demonstrations."],
];

function entry([key, name, owner, lifecycle, provider, tags, description], place) {
  const annotations = { "rhdh.modelcatalog.io/model-name": name };
  if (provider) annotations["rhdh.modelcatalog.io/provider"] = provider;
  const model = {
    name,
    owner,
    lifecycle,
    description,
    tags,
    annotations,
    artifactLocationURL: `oci://registry.example.com/models/${name}:1.0`,
    license: "https://www.apache.org/licenses/LICENSE-2.0",
    howToUseURL: `https://docs.example.com/models/${name}`,
    usage: "Send chat requests to the OpenAI-compatible endpoint; keep prompts below 120,000 tokens.",
    ethics: "Not for decisions about people without a human in the loop.",
    support: "https://support.example.com/ai-platform",
  };
  const catalog = { models: [model] };
  if (place % 3 !== 1) {
    catalog.modelServer = {
      name,
      owner,
      lifecycle,
      description,
      authentication: place % 2 === 0,
      homepageURL: "https://home.example.com/",
      annotations: { "rhdh.modelcatalog.io/served-models": JSON.stringify([name]), "rhdh.io/serverType": "openai-v1" },
      API: {
        url: `https://${name}.apps.example.com`,
        type: "openapi",
        spec: "openapi: 3.1.0\ninfo: {title: chat, version: '1'}\npaths: {}\n",
        annotations: {
          "rhdh.modelcatalog.io/external-route-url": `https://${name}.apps.example.com`,
          "rhdh.modelcatalog.io/internal-service-url": `http://${name}-predictor.models.svc.cluster.local:8080`,
        },
      },
    };
  }
  return { key: `${key}_v1`, catalog, card: place === 0 ? card : "" };
}

const card = `---
license: apache-2.0
---
# Granite 3.1 8B Instruct

Granite is a *dense* decoder-only model for **assistants**, summaries and retrieval-augmented answers.

## How to call it

\`\`\`sh
curl https://granite.apps.example.com/v1/chat/completions -H "Authorization: Bearer $TOKEN" -d '{"messages": []}'
\`\`\`

| Benchmark | Score | Compared with |
|---|---:|---|
| MMLU | 65.5 | 8B models of 2024 |
| GSM8K | 70.0 | the same |

- Context of 131,072 tokens
- Twelve languages
  - among them German and Japanese

> Not for decisions about people without a human in the loop.

![Architecture](https://images.example.com/granite.png)

<div align="center"><b>Licence</b>: see <a href="https://www.apache.org/licenses/LICENSE-2.0">Apache 2.0</a>.</div>
`;

export const models = described.map(entry);

const run = "globalThis.pwned=1";
const attack = `"><script>${run}</script><img src=x onerror="${run}"><svg onload="${run}"></svg>'\`--></title></style>`;
const turned = "\u202Egnp.exe \u05D0\u05D1\u05D2 \u0627\u0644\u0639\u0631\u0628\u064A\u0629 ";

export const hostile = {
  models: [
    {
      name: attack,
      owner: `${turned}${attack}`,
      lifecycle: attack,
      description: `${turned}${attack} ${"W".repeat(3000)}`,
      tags: [attack, "x".repeat(300), turned],
      usage: `javascript:${run}`,
      ethics: attack,
      support: `javascript:${run}`,
      artifactLocationURL: `javascript:${run}`,
      howToUseURL: `data:text/html,<script>${run}</script>`,
      license: "https://evil.example.com/\"onmouseover=\"globalThis.pwned=1",
      annotations: {
        "rhdh.modelcatalog.io/model-name": `${turned}${attack}${"M".repeat(500)}`,
        "rhdh.modelcatalog.io/provider": attack,
        TechDocs: `vbscript:${run}`,
        [attack]: attack,
      },
    },
  ],
  modelServer: {
    name: attack,
    owner: attack,
    homepageURL: `javascript:${run}`,
    usage: attack,
    annotations: { "rhdh.modelcatalog.io/served-models": JSON.stringify([attack]), "rhdh.io/serverType": attack },
    API: { url: `javascript:${run}`, type: attack, spec: attack, annotations: {} },
  },
};

export const hostileCard = `# ${attack}

${turned}

<script>${run}</script><iframe srcdoc="<script>parent.pwned=1</script>"></iframe><form action="https://evil.example.com"><button>Sign in</button></form>
<a href="javascript:${run}" onclick="${run}" style="position:fixed;inset:0" id="content">x</a> <svg><animate onbegin="${run}" attributeName=x dur=1s></svg>
<math><mtext><table><mglyph><style><img src=x onerror="${run}"></style></mglyph></table></mtext></math><style>body{display:none}</style>
<base href="https://evil.example.com/"><meta http-equiv="refresh" content="0;url=https://evil.example.com"><link rel="stylesheet" href="https://evil.example.com/x.css">

[a](javascript:${run}) [b](data:text/html,x) ![c](https://evil.example.com/pixel.png) [d](https://evil.example.com/) <https://evil.example.com/auto> [e](//evil.example.com)

| a very ${"wide ".repeat(60)} | table |
|---|---|
| ${"W".repeat(400)} | x |

${"# Z\n\n".repeat(40)}
`;
