/* dicomweb-client as viewers use it: searches, metadata, instances, frames, bulk data, storing.
 * node client.js URL; prints JSON of what it saw. SPDX-License-Identifier: Apache-2.0 */
"use strict";
const http = require("http");
const { api } = require("dicomweb-client");

/* What the client uses of a browser's XMLHttpRequest. */
global.XMLHttpRequest = class {
    constructor() { this.sent = {}; this.readyState = 0; this.responseType = ""; }
    open(method, url) { this.method = method.toUpperCase(); this.url = url; }
    setRequestHeader(name, value) { this.sent[name] = value; }
    getResponseHeader(name) { return this.got[name.toLowerCase()] || null; }
    getAllResponseHeaders() { return Object.entries(this.got).map(([k, v]) => `${k}: ${v}`).join("\r\n"); }
    send(body) {
        const request = http.request(this.url, { method: this.method, headers: this.sent }, answer => {
            const pieces = [];
            answer.on("data", piece => pieces.push(piece));
            answer.on("end", () => {
                const all = Buffer.concat(pieces);
                this.status = answer.statusCode;
                this.got = answer.headers;
                this.response = this.responseType === "arraybuffer"
                    ? all.buffer.slice(all.byteOffset, all.byteOffset + all.length)
                    : this.responseType === "json" ? (all.length ? JSON.parse(all) : null) : all.toString();
                this.readyState = 4;
                this.onreadystatechange();
            });
        });
        request.on("error", error => { throw error; });
        request.end(body === undefined ? undefined : Buffer.from(body));
    }
};

async function main(url) {
    const client = new api.DICOMwebClient({ url, singlepart: "", verbose: false });
    const seen = {};
    const studies = await client.searchForStudies({ queryParams: { PatientID: "DEMO-0001" } });
    const studyInstanceUID = studies[0]["0020000D"].Value[0];
    seen.studies = studies.length;
    const series = await client.searchForSeries({ studyInstanceUID });
    seen.series = series.length;
    const ct = series.find(s => s["00080060"].Value[0] === "CT" && s["00201209"].Value[0] > 1);
    const seriesInstanceUID = ct["0020000E"].Value[0];
    const instances = await client.searchForInstances({ studyInstanceUID, seriesInstanceUID });
    seen.instances = instances.length;
    const sopInstanceUID = instances[0]["00080018"].Value[0];
    const one = { studyInstanceUID, seriesInstanceUID, sopInstanceUID };
    seen.studyMetadata = (await client.retrieveStudyMetadata({ studyInstanceUID })).length;
    seen.seriesMetadata = (await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID })).length;
    const metadata = await client.retrieveInstanceMetadata(one);
    const attributes = Array.isArray(metadata) ? metadata[0] : metadata;
    seen.pixels = attributes["00280010"].Value[0] * attributes["00280011"].Value[0] * 2;
    const file = await client.retrieveInstance(one);
    seen.magic = Buffer.from(file.slice(128, 132)).toString();
    seen.seriesFiles = (await client.retrieveSeries({ studyInstanceUID, seriesInstanceUID })).length;
    seen.studyFiles = (await client.retrieveStudy({ studyInstanceUID })).length;
    const any = [{ mediaType: "application/octet-stream", transferSyntaxUID: "*" }];
    const frames = await client.retrieveInstanceFrames({ ...one, frameNumbers: [1], mediaTypes: any });
    seen.frame = frames[0].byteLength;
    const bulk = await client.retrieveBulkData({ BulkDataURI: attributes["7FE00010"].BulkDataURI });
    seen.bulk = bulk[0].byteLength;
    seen.equal = Buffer.compare(Buffer.from(frames[0]), Buffer.from(bulk[0]));
    const jls = [{ mediaType: "image/jls", transferSyntaxUID: "1.2.840.10008.1.2.4.80" }];
    const coded = await client.retrieveInstanceFrames({ ...one, frameNumbers: [1], mediaTypes: jls });
    seen.coded = [Buffer.from(coded[0].slice(0, 4)).toString("hex"), coded[0].byteLength < seen.pixels];
    const answer = await client.storeInstances({ datasets: [file] });
    seen.stored = typeof answer === "string" ? JSON.parse(answer) : answer;
    seen.none = (await client.searchForStudies({ queryParams: { PatientID: "NOBODY" } })).length;
    console.log(JSON.stringify(seen));
}

main(process.argv[2]).catch(error => {
    console.error(error.status || "", error.stack, error.response ? String(error.response) : "");
    process.exit(1);
});
