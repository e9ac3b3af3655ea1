"use strict";

const documents = { documented: "openapi.json", released: "../cc-backend/1.5/api/openapi.json" };
const asked = new URLSearchParams(window.location.search).get("face");
const face = asked in documents ? asked : "documented";

document.getElementById(face).className = "shown";
SwaggerUIBundle({
  url: documents[face],
  dom_id: "#swagger",
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
