// Shows /openapi.json; nothing is fetched from anywhere else.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#documents",
  deepLinking: true,
  validatorUrl: null,
  tagsSorter: "alpha",
});
