#!/usr/bin/env python3
"""Odil's upper layer as a program: what its own command line lacks. SPDX-License-Identifier: Apache-2.0

    odil_peer.py receive PORT DIR              C-STORE SCP for one association after another; prints READY, then a line an object
    odil_peer.py move PORT INCOMING UID DIR    C-MOVE of a study to itself; writes what arrives
"""
import sys

import odil

R, Context = odil.registry, odil.AssociationParameters.PresentationContext


def write(data_set, directory):
    meta = odil.DataSet()
    meta.add(R.TransferSyntaxUID, [R.ExplicitVRLittleEndian])
    uid = data_set.as_string(R.SOPInstanceUID)[0].decode()
    with odil.open(f"{directory}/{uid}.dcm", "wb") as stream:
        odil.Writer.write_file(data_set, stream, meta, R.ExplicitVRLittleEndian)
    return uid


def receive(port, directory):
    def store(request):
        print("stored", write(request.get_data_set(), directory), flush=True)
        return 0x0000  # PS3.4 B.2.3: success

    print("READY", flush=True)
    while True:
        association = odil.Association()
        association.receive_association("v4", int(port))
        dispatcher = odil.SCPDispatcher(association)
        scp = odil.StoreSCP(association)
        scp.set_callback(store)
        dispatcher.set_store_scp(scp)
        try:
            while True:
                dispatcher.dispatch()
        except (odil.AssociationReleased, odil.AssociationAborted):
            pass


def move(port, incoming, uid, directory):
    model = R.StudyRootQueryRetrieveInformationModelMove
    association = odil.Association()
    association.set_peer_host("127.0.0.1")
    association.set_peer_port(int(port))
    association.update_parameters().set_calling_ae_title("ODIL").set_called_ae_title("HILUM").set_presentation_contexts(
        [Context(1, model, [R.ImplicitVRLittleEndian], Context.Role.SCU)])
    association.associate()
    scu = odil.MoveSCU(association)
    scu.set_affected_sop_class(model)
    scu.set_move_destination("ODIL")
    scu.set_incoming_port(int(incoming))
    query = odil.DataSet()
    query.add(R.QueryRetrieveLevel, ["STUDY"])
    query.add(R.StudyInstanceUID, [uid])
    for data_set in scu.move(query):
        write(data_set, directory)
    association.release()


{"receive": receive, "move": move}[sys.argv[1]](*sys.argv[2:])
