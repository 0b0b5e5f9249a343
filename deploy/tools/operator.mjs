// Checks the objects of the Prometheus operator in OBJECTS by the schemas of its published models:
// node operator.mjs MODULES OBJECTS, where OBJECTS has one JSON object a line.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, objects] = process.argv.slice(2);
const folder = `${modules}/node_modules/@kubernetes-models/prometheus-operator/_schemas`;
const name = 'ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1';
let count = 0;
for (const line of readFileSync(objects, 'utf8').trim().split('\n')) {
  const object = JSON.parse(line);
  const file = pathToFileURL(`${folder}/${name}${object.kind}.js`).href;
  const { validate } = await import(file);
  if (!validate(object)) {
    console.error(`${object.kind} ${object.metadata.name}:`, validate.errors);
    process.exit(1);
  }
  count += 1;
}
console.log(`${count} objects of the Prometheus operator are valid`);
