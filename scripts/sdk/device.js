// A device, or a module of one, on Azure's own device SDK, as the maker ships it.
'use strict';

const fs = require('node:fs');
const https = require('node:https');
const { Readable } = require('node:stream');
const { Client, Message, ModuleClient } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Mqtt: ProvisioningMqtt } = require('azure-iot-provisioning-device-mqtt');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { happened, take } = require('./orders');

let client;
let twin;

// connect opens the connection; with a webSocketPort, MQTT goes through a
// WebSocket, whose port the SDK fixes at 443 unless an agent says otherwise.
// It listens to commands first if it is to: what the hub has kept comes as soon
// as the connection is open, and the SDK drops what nobody listens to.
async function connect({ connectionString, webSocketPort, commands, certificate }) {
  const Kind = connectionString.includes('ModuleId=') ? ModuleClient : Client;
  client = Kind.fromConnectionString(connectionString, webSocketPort ? MqttWs : Mqtt);
  if (webSocketPort) {
    const ca = fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS);
    await client.setOptions({ mqtt: { webSocketAgent: new https.Agent({ port: webSocketPort, ca }) } });
  }
  if (certificate) {
    await client.setOptions(certificate);
  }
  client.on('disconnect', (err) => happened('disconnect', { reason: String(err) }));
  if (commands) {
    listen();
  }
  await client.open();
}

// register asks the provisioning service for hub and device id, with a key or
// with a certificate.
async function register({ endpoint, scope, registration, key, certificate }) {
  const login = certificate
    ? { getRegistrationId: () => registration, getCertificate: (done) => done(null, certificate) }
    : new SymmetricKeySecurityClient(registration, key);
  const dps = ProvisioningDeviceClient.create(endpoint, scope, new ProvisioningMqtt(), login);
  const { assignedHub, deviceId } = await dps.register();
  return { assignedHub, deviceId };
}

async function send({ body, system, properties }) {
  const message = new Message(body);
  Object.assign(message, system);
  for (const [name, value] of Object.entries(properties ?? {})) {
    message.properties.add(name, value);
  }
  await client.sendEvent(message);
}

// listen tells of each command and completes it.
function listen() {
  client.on('message', (message) => {
    const properties = {};
    for (const { key, value } of message.properties.propertyList) {
      properties[key] = value;
    }
    const { messageId, correlationId } = message;
    happened('command', { id: messageId, correlation: correlationId, body: message.getData().toString(), properties });
    client.complete(message, (err) => happened('completed', { id: messageId, failed: err ? String(err) : '' }));
  });
}

// method answers each call of a method with what the caller has sent.
async function method({ name, status }) {
  const answer = (request, response) => {
    happened('method', { name: request.methodName, payload: request.payload });
    response.send(status, { echo: request.payload }, (err) => {
      if (err) {
        happened('unanswered', { name, reason: String(err) });
      }
    });
  };
  if (client instanceof ModuleClient) {
    client.onMethod(name, answer);
  } else {
    client.onDeviceMethod(name, answer);
  }
}

// upload sends a file of so many bytes by HTTPS, whose port the SDK fixes too.
async function upload({ name, size, port }) {
  const ca = fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS);
  await client.setOptions({ http: { agent: new https.Agent({ port, ca }) } });
  await client.uploadToBlob(name, Readable.from([Buffer.alloc(size, 'fieldpost ')]), size);
}

async function readTwin() {
  twin = await client.getTwin();
  return properties();
}

// properties are those of the twin as the SDK has them now.
async function properties() {
  const { desired, reported } = twin.properties;
  return JSON.parse(JSON.stringify({ desired, reported }));
}

async function watchTwin() {
  twin.on('properties.desired', (patch) => happened('desired', { patch }));
}

async function report({ patch }) {
  await new Promise((resolve, reject) => {
    twin.properties.reported.update(patch, (err) => (err ? reject(err) : resolve()));
  });
}

async function close() {
  await client.close();
}

take({ connect, register, send, method, upload, readTwin, properties, watchTwin, report, close });
