// A peer that shares no code with Hilum: client.js PORT OWN_PORT CORPUS. Echo, store, find, get, move to itself.
const fs = require('fs');
const path = require('path');
const assert = require('assert');
const { Client, Server, Scp, requests, responses, constants, log } = require('dcmjs-dimse');
log.setLevel('error');
const { CEchoRequest, CStoreRequest, CFindRequest, CMoveRequest, CGetRequest } = requests;
const { CEchoResponse, CStoreResponse } = responses;
const { Status, PresentationContextResult } = constants;

const [port, ownPort, corpus] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const received = [];

class Receiver extends Scp {
  associationRequested(association) {
    for (const c of association.getPresentationContexts()) {
      const context = association.getPresentationContext(c.id);
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
    }
    this.sendAssociationAccept();
  }
  cEchoRequest(request, callback) {
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }
  cStoreRequest(request, callback) {
    received.push(request.getAffectedSopInstanceUid());
    const response = CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }
  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

// Sends requests over one association; resolves with every response when the association is closed.
function exchange(list, onStore) {
  return new Promise((resolve, reject) => {
    const client = new Client();
    const all = [];
    for (const request of list) {
      request.on('response', (response) => all.push(response));
      client.addRequest(request);
    }
    client.on('cStoreRequest', (request, callback) => {
      onStore(request.getAffectedSopInstanceUid());
      const response = CStoreResponse.fromRequest(request);
      response.setStatus(Status.Success);
      callback(response);
    });
    client.on('networkError', reject);
    client.on('associationRejected', (r) => reject(new Error(`rejected: ${JSON.stringify(r)}`)));
    client.on('closed', () => resolve(all));
    client.send('127.0.0.1', port, 'DCMJS', 'HILUM', { pdvSize: 65536 });
  });
}

const final = (all) => all[all.length - 1].getStatus();

async function main() {
  const server = new Server(Receiver);
  server.listen(ownPort);
  assert.strictEqual(final(await exchange([new CEchoRequest()])), Status.Success, 'echo');

  const study = path.join(corpus, fs.readdirSync(corpus).sort()[0]);
  const files = fs.readdirSync(study).map((f) => path.join(study, f));
  const stored = await exchange(files.map((f) => new CStoreRequest(f)));
  assert.strictEqual(stored.length, files.length, 'a response for each store');
  assert(stored.every((r) => r.getStatus() === Status.Success), 'stores succeed');

  const found = await exchange([CFindRequest.createStudyFindRequest({ PatientID: 'P0000000', PatientName: '', NumberOfStudyRelatedInstances: '' })]);
  const rows = found.filter((r) => r.getStatus() === Status.Pending).map((r) => r.getDataset().getElements());
  assert.strictEqual(rows.length, 1, 'one study');
  assert.strictEqual(Number(rows[0].NumberOfStudyRelatedInstances), files.length, 'its count');
  const uid = rows[0].StudyInstanceUID;

  const got = [];
  assert.strictEqual(final(await exchange([CGetRequest.createStudyGetRequest(uid)], (sop) => got.push(sop))), Status.Success, 'get');
  assert.strictEqual(new Set(got).size, files.length, 'C-GET returns every instance');

  assert.strictEqual(final(await exchange([CMoveRequest.createStudyMoveRequest('DCMJS', uid)])), Status.Success, 'move');
  assert.deepStrictEqual(new Set(received), new Set(got), 'C-MOVE delivers the same instances');
  server.close();
  console.log(`${files.length} stored, found, got and moved`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
