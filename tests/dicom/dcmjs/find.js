// The queries of find.tsv by an upper layer and data sets that are not DCMTK's: find.js PORT CALLED CALLING QUERIES ANSWERS.
// QUERIES: file with a JSON list of {model, elements}; ANSWERS: file for {pending, final, answers} of each; an answer is
// name -> text.
// SPDX-License-Identifier: Apache-2.0
const fs = require('fs');
const { Client, Dataset, requests, log } = require('dcmjs-dimse');
log.setLevel('error');
const { CFindRequest } = requests;
const PATIENT_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.1.1';
const [port, called, calling] = [Number(process.argv[2]), process.argv[3], process.argv[4]];
const queries = JSON.parse(fs.readFileSync(process.argv[5], 'utf-8'));

const hex = (status) => status.toString(16).toUpperCase().padStart(4, '0');

// Values of a natural data set as text: names are objects of component groups, several values an array.
function text(value) {
  if (Array.isArray(value)) return value.map(text).join('\\');
  if (value && typeof value === 'object')
    return [value.Alphabetic || '', value.Ideographic || '', value.Phonetic || ''].join('=').replace(/=+$/, '');
  return value === undefined || value === null ? '' : String(value);
}

function names(response) {
  const elements = response.hasDataset() ? response.getDataset().getElements() : {};
  return Object.fromEntries(Object.keys(elements).filter((k) => !k.startsWith('_')).map((k) => [k, text(elements[k])]));
}

// One association for one query, so that no row depends on the one before.
function find(query) {
  return new Promise((resolve) => {
    const client = new Client();
    const request = new CFindRequest();
    const result = { pending: [], final: 'none', answers: [] };
    if (query.model === 'P') request.setAffectedSopClassUid(PATIENT_ROOT_FIND);
    request.setDataset(new Dataset(query.elements));
    request.on('response', (response) => {
      const status = response.getStatus();
      if ((status & 0xfffe) !== 0xff00) {
        result.final = hex(status);
        return;
      }
      result.pending.push(hex(status));
      result.answers.push(names(response));
    });
    client.addRequest(request);
    client.on('networkError', (error) => resolve(Object.assign(result, { final: `none: ${error.message}` })));
    client.on('associationRejected', () => resolve(Object.assign(result, { final: 'none: rejected' })));
    client.on('closed', () => resolve(result));
    client.send('127.0.0.1', port, calling, called);
  });
}

async function main() {
  const results = [];
  for (const query of queries) results.push(await find(query));
  fs.writeFileSync(process.argv[6], JSON.stringify(results));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
