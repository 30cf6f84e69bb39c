// A back end on Azure's own service SDK, as the maker ships it.
'use strict';

const fs = require('node:fs');
const https = require('node:https');
const { Client, Registry } = require('azure-iothub');
const { take } = require('./orders');

let client;
let registry;

// connect only notes where the hub is: each call is a request of its own. The
// SDK fixes the port at 443 unless an agent says otherwise.
async function connect({ connectionString, port }) {
  const ca = fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS);
  const agent = new https.Agent({ port, ca });
  client = Client.fromConnectionString(connectionString);
  registry = Registry.fromConnectionString(connectionString);
  for (const owner of [client, registry]) {
    owner._restApiClient.setOptions({ http: { agent } });
  }
}

async function createDevice({ device, authentication }) {
  return (await registry.create({ deviceId: device, authentication })).responseBody;
}

async function getDevice({ device }) {
  return (await registry.get(device)).responseBody;
}

async function listDevices() {
  return (await registry.list()).responseBody.map((d) => d.deviceId);
}

async function setStatus({ device, status }) {
  return (await registry.update({ deviceId: device, status })).responseBody;
}

async function deleteDevice({ device }) {
  await registry.delete(device);
}

async function call({ device, name, payload, timeout }) {
  const answer = await client.invokeDeviceMethod(device, { methodName: name, payload, responseTimeoutInSeconds: timeout });
  return answer.result;
}

async function getTwin({ device }) {
  const { etag, tags, properties } = (await registry.getTwin(device)).responseBody;
  return { etag, tags, properties };
}

// patchTwin changes tags and desired properties; "*" is any etag.
async function patchTwin({ device, patch, etag }) {
  const { etag: now, tags, properties } = (await registry.updateTwin(device, patch, etag)).responseBody;
  return { etag: now, tags, properties };
}

// query reads all pages. The SDK's plain next() would read the first for ever.
async function query({ sql, pageSize }) {
  const pages = registry.createQuery(sql, pageSize);
  const rows = [];
  while (pages.hasMoreResults) {
    rows.push(...(await pages.nextAsTwin()).result.map((row) => row.deviceId));
  }
  return rows;
}

take({ connect, createDevice, getDevice, listDevices, setStatus, deleteDevice, call, getTwin, patchTwin, query });
