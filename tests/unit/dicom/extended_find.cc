// C-FIND by DCMTK's network layer with extended negotiation (PS3.4 C.5.1.1), which findscu cannot ask for:
// extended_find PORT CALLED CALLING TABLE. Prints the table with what was found in the place of what is expected.
// Columns: level, bytes asked for, bytes accepted, keys joined by ';', final status, then unique keys without 1.2.999.,
// or what was at fault. For tests only. SPDX-License-Identifier: Apache-2.0
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/dimse.h>
#include <dcmtk/dcmnet/diutil.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace
{

using Texts = std::vector<std::string>;
const char *const FIND = UID_FINDStudyRootQueryRetrieveInformationModel;

Texts split(const std::string &text, char by)
{
    Texts parts;
    std::stringstream stream(text);
    for (std::string part; std::getline(stream, part, by);)
        parts.push_back(part);
    return parts;
}

SOPClassExtendedNegotiationSubItemList *items_of(const std::string &hex)
{
    if (hex == "-")
        return nullptr;
    auto *info = new unsigned char[hex.size() / 2];
    for (size_t i = 0; i < hex.size() / 2; i++)
        info[i] = (unsigned char)std::stoul(hex.substr(2 * i, 2), nullptr, 16);
    auto *item = new SOPClassExtendedNegotiationSubItem;
    item->sopClassUID = FIND;
    item->serviceClassAppInfo = info;
    item->serviceClassAppInfoLength = (unsigned short)(hex.size() / 2);
    auto *list = new SOPClassExtendedNegotiationSubItemList;
    list->push_back(item);
    return list;
}

std::string accepted_of(T_ASC_Parameters *params)
{
    SOPClassExtendedNegotiationSubItemList *list = nullptr;
    ASC_getAcceptedExtNegList(params, &list);
    if (!list || list->empty())
        return "-";
    std::string hex;
    const SOPClassExtendedNegotiationSubItem *item = *list->begin();
    for (unsigned i = 0; i < item->serviceClassAppInfoLength; i++) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", item->serviceClassAppInfo[i]);
        hex += digits;
    }
    return hex;
}

struct Answers {
    const char *unique;
    Texts uids;
};

void on_answer(void *arg, T_DIMSE_C_FindRQ *, int, T_DIMSE_C_FindRSP *, DcmDataset *data)
{
    auto *answers = static_cast<Answers *>(arg);
    const DcmDictEntry *entry = nullptr;
    DcmTagKey key;
    OFString value;
    const auto &dictionary = dcmDataDict.rdlock();
    entry = dictionary.findEntry(answers->unique);
    if (entry)
        key = entry->getKey();
    dcmDataDict.rdunlock();
    data->findAndGetOFString(key, value);
    std::string uid = value.c_str();
    answers->uids.push_back(uid.rfind("1.2.999.", 0) == 0 ? uid.substr(8) : uid);
}

std::string unique_of(const std::string &level)
{
    if (level == "SERIES")
        return "SeriesInstanceUID";
    return level == "IMAGE" ? "SOPInstanceUID" : "StudyInstanceUID";
}

void fill(DcmDataset &data, const Texts &row)
{
    data.putAndInsertString(DCM_SpecificCharacterSet, "ISO_IR 192");
    data.putAndInsertString(DCM_QueryRetrieveLevel, row[0].c_str());
    Texts keys = split(row[3], ';');
    keys.insert(keys.begin(), unique_of(row[0]));
    for (const std::string &key : keys) {
        DcmTag tag;
        const size_t equals = key.find('=');
        if (DcmTag::findTagFromName(key.substr(0, equals).c_str(), tag).good())
            data.putAndInsertString(
                tag, equals == std::string::npos ? "" : key.substr(equals + 1).c_str());
    }
}

std::string faults_of(DcmDataset *detail)
{
    std::string text;
    DcmElement *element = nullptr;
    Uint16 group, number;
    if (!detail || detail->findAndGetElement(DCM_OffendingElement, element).bad())
        return "";
    auto *tags = dynamic_cast<DcmAttributeTag *>(element);
    for (unsigned long i = 0; tags && i < tags->getVM(); i++) {
        DcmTagKey tag;
        tags->getTagVal(tag, i);
        group = tag.getGroup();
        number = tag.getElement();
        char digits[16];
        std::snprintf(digits, sizeof digits, "%s%04x,%04x", text.empty() ? "" : " ", group, number);
        text += digits;
    }
    return text;
}

std::string ask(T_ASC_Association *assoc, const Texts &row)
{
    DcmDataset keys;
    fill(keys, row);
    T_DIMSE_C_FindRQ request = {};
    T_DIMSE_C_FindRSP response = {};
    DcmDataset *detail = nullptr;
    const std::string unique = unique_of(row[0]);
    Answers answers{unique.c_str(), {}};
    int n = 0;
    request.MessageID = assoc->nextMsgID++;
    OFStandard::strlcpy(request.AffectedSOPClassUID, FIND, sizeof request.AffectedSOPClassUID);
    request.DataSetType = DIMSE_DATASET_PRESENT;
    const T_ASC_PresentationContextID context = ASC_findAcceptedPresentationContextID(assoc, FIND);
    const OFCondition found = DIMSE_findUser(assoc, context, &request, &keys, n, on_answer,
                                             &answers, DIMSE_BLOCKING, 30, &response, &detail);
    if (found.bad())
        return std::string("failed\t") + found.text();
    char status[8];
    std::snprintf(status, sizeof status, "%04X", response.DimseStatus);
    std::sort(answers.uids.begin(), answers.uids.end());
    std::string last = faults_of(detail);
    for (const std::string &uid : answers.uids)
        last += (last.empty() ? "" : " ") + uid;
    delete detail;
    return std::string(status) + "\t" + last;
}

std::string run(T_ASC_Network *net, char **argv, const Texts &row)
{
    T_ASC_Parameters *params = nullptr;
    T_ASC_Association *assoc = nullptr;
    const char *syntaxes[] = {UID_LittleEndianExplicitTransferSyntax,
                              UID_LittleEndianImplicitTransferSyntax};
    ASC_createAssociationParameters(&params, ASC_DEFAULTMAXPDU);
    ASC_setAPTitles(params, argv[3], argv[2], nullptr);
    ASC_setPresentationAddresses(params, "localhost",
                                 (std::string("127.0.0.1:") + argv[1]).c_str());
    ASC_addPresentationContext(params, 1, FIND, syntaxes, 2);
    SOPClassExtendedNegotiationSubItemList *items = items_of(row[1]);
    if (items)
        ASC_setRequestedExtNegList(params, items);
    if (ASC_requestAssociation(net, params, &assoc).bad())
        return "no association";
    const std::string accepted = accepted_of(assoc->params);
    const std::string result = ask(assoc, row);
    ASC_releaseAssociation(assoc);
    ASC_destroyAssociation(&assoc);
    return row[0] + "\t" + row[1] + "\t" + accepted + "\t" + row[3] + "\t" + result;
}

} // namespace

int main(int argc, char **argv)
{
    T_ASC_Network *net = nullptr;
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    if (argc != 5 || ASC_initializeNetwork(NET_REQUESTOR, 0, 30, &net).bad())
        return 2;
    std::ifstream table(argv[4]);
    for (std::string line; std::getline(table, line);) {
        if (!line.empty() && line[0] != '#')
            std::cout << run(net, argv, split(line, '\t')) << "\n";
    }
    ASC_dropNetwork(&net);
    return 0;
}
