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

async function createModule({ device, module }) {
  return (await registry.addModule({ deviceId: device, moduleId: module })).responseBody;
}

// createDevices makes many with one request, deleteDevices deletes them.
async function createDevices({ devices }) {
  return (await registry.addDevices(devices.map((deviceId) => ({ deviceId })))).responseBody;
}

async function deleteDevices({ devices }) {
  return (await registry.removeDevices(devices.map((deviceId) => ({ deviceId })), true)).responseBody;
}

async function statistics() {
  return (await registry.getRegistryStatistics()).responseBody;
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

async function call({ device, module, name, payload, timeout }) {
  const place = module ? [device, module] : [device];
  const answer = await client.invokeDeviceMethod(...place, { methodName: name, payload, responseTimeoutInSeconds: timeout });
  return answer.result;
}

async function getTwin({ device, module }) {
  const answer = module ? await registry.getModuleTwin(device, module) : await registry.getTwin(device);
  const { etag, tags, properties } = answer.responseBody;
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

take({
  connect, createDevice, createDevices, createModule, getDevice, listDevices, setStatus, deleteDevice, deleteDevices,
  statistics, call, getTwin, patchTwin, query,
});
