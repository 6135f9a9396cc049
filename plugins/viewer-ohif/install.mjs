// OHIF's distribution to a bundle that Hilum serves below /ohif/: node install.mjs DIST OUT.
// The distribution is built for the root of a server. Three things change: where it looks for its parts, inline scripts
// (our policy forbids them; the plugin's app-config.js does what they did), and what is not needed here is left out.
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [dist, out] = process.argv.slice(2);
// Models for a segmentation tool (140 MB), service workers that fetch code from elsewhere, sign-in of others.
const unwanted = /^(ort|customizations|sw\.js|init-service-worker\.js|google\.js|oidc-client\.min\.js|silent-refresh\.html|polyfill\.min\.js|es6-shim\.min\.js|app-config\.js|_headers|_redirects|serve\.json)$/;

function fail(why) {
  console.error(`viewer-ohif: ${why}; has the distribution changed?`);
  process.exit(1);
}

for (const name of readdirSync(dist))
  if (!unwanted.test(name))
    cpSync(join(dist, name), join(out, name), { recursive: true, filter: path => !path.endsWith('.map') });

// In a page PUBLIC_URL is set by app-config.js; a worker lies beside its parts.
let rebased = 0;
for (const name of readdirSync(out).filter(n => n.endsWith('.js'))) {
  const text = readFileSync(join(out, name), 'utf8');
  const changed = text.replace(/__webpack_require__\.p = "\/";/g,
    '__webpack_require__.p = globalThis.PUBLIC_URL || new URL("./", globalThis.location.href).href;');
  if (changed !== text) {
    writeFileSync(join(out, name), changed);
    rebased++;
  }
}
if (rebased === 0) fail('no script names the root of the server');

for (const name of readdirSync(out).filter(n => n.endsWith('.css')))
  writeFileSync(join(out, name), readFileSync(join(out, name), 'utf8').replaceAll('url(/', 'url('));

let page = readFileSync(join(dist, 'index.html'), 'utf8');
page = page
  .replace(/<script[^>]*>[^<]*<\/script>/g, script => (/ src=/.test(script) && !/init-service-worker/.test(script) ? script : ''))
  .replace(/<link[^>]*(apple-touch|yandex|coast)[^>]*>/g, '')
  .replace(/<meta name="msapplication[^>]*>/g, '')
  .replace(/(src|href)="\//g, '$1="{{base}}');
if (!page.includes('src="{{base}}app-config.js"') || !/src="\{\{base\}\}app\.bundle\.[0-9a-f]+\.js"/.test(page))
  fail('index.html does not load what was expected');
writeFileSync(join(out, 'index.html'), page);
